//! What all pages have in common.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{DOCTYPE, Markup, html};

use crate::api::{App, Who};
use crate::model::{MigrationState, NodeName, Scope, VmState};

/// Where else one may go.
const WAYS: [(&str, &str); 4] = [
    ("/", "Overview"),
    ("/history", "History"),
    ("/policies", "Policies"),
    ("/drain", "Empty this host"),
];

/// Whose page it is, who looks at it, and which one it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    node: Option<NodeName>,
    who: Option<Who>,
    path: String,
}

impl FromRequestParts<App> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self {
            node: Some(app.node.name().clone()),
            who: parts.extensions.get::<Who>().cloned(),
            path: parts.uri.path().to_owned(),
        })
    }
}

impl Frame {
    /// Whether who looks may do what needs this scope.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.who.as_ref().is_some_and(|who| who.scope >= scope)
    }

    /// What those are told who may not; nothing for those who may.
    pub(super) fn may_not(&self, scope: Scope, what: &str) -> Markup {
        html! {
            @if !self.may(scope) {
                p.note {
                    "You may look, but not " (what) ": that needs a token of scope " b { (scope) }
                    ". Whoever runs this node can give you one: " code { "landfall node token add NAME --scope " (scope) }
                }
            }
        }
    }

    /// A page with its heading and its ways out.
    pub(super) fn page(&self, title: &str, content: Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) @if let Some(node) = &self.node { " – " (node) } " – Landfall" }
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href="/style.css";
                    script type="module" src="/live.js" {}
                }
                body {
                    a.skip href="#content" { "To the content" }
                    header {
                        nav aria-label="Pages" {
                            a.name href="/" { "Landfall" @if let Some(node) = &self.node { span.host { (node) } } }
                            @for (to, name) in WAYS {
                                a href=(to) aria-current=[(self.path == to).then_some("page")] { (name) }
                            }
                            @if let Some(who) = self.who.as_ref().filter(|who| who.scope < Scope::Admin) {
                                span.who { (who.name) ", scope " (who.scope) }
                            }
                        }
                    }
                    main #content { (content) }
                }
            }
        }
    }
}

/// How far a migration has come, as a mark.
pub(super) fn mark(state: MigrationState) -> Markup {
    let class = match state {
        MigrationState::Completed => "good",
        MigrationState::GaveUp | MigrationState::Failed | MigrationState::InDoubt => "bad",
        _ => "plain",
    };
    html! { span.badge.(class) data-field="state" { (state.name()) } }
}

/// What a machine does, as a mark.
pub(super) fn condition(state: VmState) -> Markup {
    let class = match state {
        VmState::Running => "good",
        VmState::InDoubt | VmState::Unreachable => "bad",
        VmState::Paused | VmState::Stopped | VmState::Incoming | VmState::Away => "plain",
    };
    html! { span.badge.(class) { (state.name()) } }
}

/// A table that may be wider than the page, which does not grow with it.
pub(super) fn wide(label: &str, table: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// A moment; shown in the reader's own time by the module, in UTC without it.
pub(super) fn moment(ms: u64) -> Markup {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    html! { time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) } }
}

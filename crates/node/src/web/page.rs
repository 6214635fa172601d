//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use crate::model::MigrationState;

/// A page with its heading and its ways out.
pub(super) fn page(title: &str, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Landfall" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/style.css";
                script type="module" src="/live.js" {}
            }
            body {
                a.skip href="#content" { "To the content" }
                header {
                    nav aria-label="Pages" {
                        a.name href="/" { "Landfall" }
                        a href="/" { "Overview" }
                        a href="/history" { "History" }
                        a href="/policies" { "Policies" }
                        a href="/drain" { "Empty this host" }
                    }
                }
                main #content { (content) }
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

/// A moment; shown in the reader's own time by the module, in UTC without it.
pub(super) fn moment(ms: u64) -> Markup {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    html! { time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) } }
}

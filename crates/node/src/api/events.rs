//! What happens, as it happens: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;

use super::App;

/// How often a line is sent that says nothing, so that a connection that has broken is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Everything that happens from now on, or after the event that the client names as its last.
#[utoipa::path(
    get, path = "/events", operation_id = "events", tag = "node",
    params(("Last-Event-ID" = Option<u64>, Header, description = "The event after which to go on.")),
    responses((
        status = 200, description = "Server-sent events, one after the other, each with an `Event` as its data.",
        content_type = "text/event-stream", body = String
    ))
)]
pub(super) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let newest = app.node.events().watch();
    let named = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let last = named.unwrap_or_else(|| *newest.borrow());
    let stream = unfold((app, newest, last, Vec::new().into_iter()), |state| async move {
        let (app, mut newest, mut last, mut waiting) = state;
        loop {
            if let Some(event) = waiting.next() {
                let event: crate::events::Event = event;
                last = event.id;
                let sent = Event::default().id(event.id.to_string()).event(event.kind);
                let sent = sent.json_data(&event).unwrap_or_default();
                return Some((Ok(sent), (app, newest, last, waiting)));
            }
            newest.borrow_and_update();
            waiting = app.node.events().after(last).into_iter();
            if waiting.len() == 0 {
                newest.changed().await.ok()?;
            }
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

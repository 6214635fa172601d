//! What a migration may cost, as fields of a form.

use axum::http::StatusCode;
use landfall_converge::ByteRate;
use maud::{Markup, html};
use serde::Deserialize;

use crate::api::Problem;
use crate::model::{OnLimit, Settings, SettingsChange};
use crate::quantities::duration;

/// What a browser sends of them: what stands in each field now, and what stood there when the page was drawn.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) max_throttle: Option<String>,
    pub(super) max_downtime: Option<String>,
    pub(super) time_limit: Option<String>,
    pub(super) bandwidth: Option<String>,
    pub(super) on_limit: Option<OnLimit>,
    pub(super) was_max_throttle: Option<String>,
    pub(super) was_max_downtime: Option<String>,
    pub(super) was_time_limit: Option<String>,
    pub(super) was_bandwidth: Option<String>,
    pub(super) was_on_limit: Option<OnLimit>,
}

fn wrong(text: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

impl Limits {
    /// What was changed. What still stands as it was shown is left out: on the form it follows the policy that is chosen.
    pub(super) fn change(&self) -> Result<SettingsChange, Problem> {
        let throttle = changed(self.max_throttle.as_ref(), self.was_max_throttle.as_ref());
        let downtime = changed(self.max_downtime.as_ref(), self.was_max_downtime.as_ref());
        let limit = changed(self.time_limit.as_ref(), self.was_time_limit.as_ref());
        let bandwidth = changed(self.bandwidth.as_ref(), self.was_bandwidth.as_ref());
        Ok(SettingsChange {
            auto_converge: None,
            max_throttle_percent: throttle.filter(|it| !it.is_empty()).map(percent).transpose()?,
            max_downtime_ms: downtime.filter(|it| !it.is_empty()).map(ms).transpose()?,
            time_limit_ms: limit.map(|it| if_any(it, ms)).transpose()?,
            bandwidth_bytes_per_second: bandwidth.map(|it| if_any(it, rate)).transpose()?,
            on_limit: self.on_limit.filter(|on_limit| Some(*on_limit) != self.was_on_limit),
        })
    }
}

/// What stands in a field, where it is not what stood there.
fn changed<'a>(now: Option<&'a String>, was: Option<&String>) -> Option<&'a str> {
    let (now, was) = (now?.trim(), was.map_or("", |was| was.trim()));
    (now != was).then_some(now)
}

/// A field that was emptied sets no limit, which is said by zero.
fn if_any(text: &str, read: fn(&str) -> Result<u64, Problem>) -> Result<u64, Problem> {
    if text.is_empty() { Ok(0) } else { read(text) }
}

fn percent(text: &str) -> Result<u8, Problem> {
    let digits = text.trim_end_matches('%').trim();
    digits.parse().map_err(|_| wrong(format!("'{text}' is no throttle; write it as in 80%")))
}

fn ms(text: &str) -> Result<u64, Problem> {
    let time = duration(text).map_err(wrong)?;
    Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn rate(text: &str) -> Result<u64, Problem> {
    let rate: ByteRate = text.parse().map_err(|error| wrong(format!("{error}")))?;
    Ok(rate.over(std::time::Duration::from_secs(1)).0)
}

/// The fields with what holds now in them, and what is to be taken as unchanged.
pub(super) fn fields(now: &Settings, was: &Settings) -> Markup {
    let (shown, before) = (texts(now), texts(was));
    html! {
        div.pairs {
            @for (index, (name, label, hint)) in FIELDS.into_iter().enumerate() {
                input type="hidden" name={ "was_" (name) } value=(before[index]);
                div {
                    label for=(name) { (label) }
                    input id=(name) name=(name) value=(shown[index]) aria-describedby={ (name) "-hint" } autocomplete="off";
                    span.hint id={ (name) "-hint" } { (hint) }
                }
            }
            input type="hidden" name="was_on_limit" value=(code(was.on_limit));
            div {
                label for="on_limit" { "At the time limit" }
                select #on_limit name="on_limit" aria-describedby="on_limit-hint" {
                    @for on_limit in [OnLimit::Abort, OnLimit::Switchover] {
                        option value=(code(on_limit)) selected[now.on_limit == on_limit] { (word(on_limit)) }
                    }
                }
                span.hint #on_limit-hint { "give up: the guest stays; switch over: it goes, whatever the downtime" }
            }
        }
    }
}

/// Name, label and hint of each, in the order of [`texts`].
const FIELDS: [(&str, &str, &str); 4] = [
    (
        "max_throttle",
        "Hardest throttle",
        "the most of the processors' time that may be taken, as in 80%",
    ),
    (
        "max_downtime",
        "Longest downtime",
        "how long the guest may stand still at the end, as in 300ms",
    ),
    ("bandwidth", "Bandwidth", "as in 125MB/s; leave it empty for all that this host may use"),
    ("time_limit", "Time limit", "as in 15min; leave it empty for none"),
];

fn texts(settings: &Settings) -> [String; 4] {
    let rate = |rate: u64| ByteRate::new(rate as f64).to_string().replace(' ', "");
    [
        format!("{}%", settings.max_throttle_percent),
        time(settings.max_downtime_ms),
        settings.bandwidth_bytes_per_second.map(rate).unwrap_or_default(),
        settings.time_limit_ms.map(time).unwrap_or_default(),
    ]
}

/// A time as it is written into a field.
pub(super) fn time(ms: u64) -> String {
    if ms >= 60_000 && ms.is_multiple_of(60_000) {
        format!("{}min", ms / 60_000)
    } else if ms >= 1000 && ms.is_multiple_of(1000) {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}

/// What the fields would show of these, as JSON by their names: the module fills them in where another policy is chosen.
pub(super) fn has(settings: &Settings) -> String {
    let names = FIELDS.into_iter().map(|(name, ..)| name);
    let mut all: serde_json::Map<_, _> = names
        .zip(texts(settings))
        .map(|(name, text)| (name.to_owned(), serde_json::Value::from(text)))
        .collect();
    all.insert("on_limit".to_owned(), code(settings.on_limit).into());
    all.insert("auto_converge".to_owned(), settings.auto_converge.into());
    serde_json::Value::from(all).to_string()
}

fn code(on_limit: OnLimit) -> &'static str {
    match on_limit {
        OnLimit::Abort => "abort",
        OnLimit::Switchover => "switchover",
    }
}

pub(super) fn word(on_limit: OnLimit) -> &'static str {
    match on_limit {
        OnLimit::Abort => "give up",
        OnLimit::Switchover => "switch over",
    }
}

/// All of it in one line.
pub(super) fn line(settings: &Settings) -> String {
    let [throttle, downtime, bandwidth, limit] = texts(settings);
    let converge = if settings.auto_converge {
        format!("auto-converge on, throttle at most {throttle}")
    } else {
        "auto-converge off".to_owned()
    };
    let limit = match settings.time_limit_ms {
        Some(_) => format!("after {limit} {}", word(settings.on_limit)),
        None => "no time limit".to_owned(),
    };
    let bandwidth = match settings.bandwidth_bytes_per_second {
        Some(_) => format!(", at most {bandwidth}"),
        None => String::new(),
    };
    format!("{converge}, downtime at most {downtime}, {limit}{bandwidth}")
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;

use serde_json::json;

use super::*;

fn parse(arguments: Value) -> Result<DirtyRateRequest, String> {
    let Value::Object(map) = arguments else { panic!("arguments are an object") };
    let mut arguments = Arguments::new(map);
    DirtyRateRequest::parse(&mut arguments).map_err(|error| error.desc)
}

#[test]
fn a_time_is_in_seconds_unless_said_otherwise() {
    let lasting = |ms| Ok(DirtyRateRequest::lasting(Duration::from_millis(ms)));
    assert_eq!(parse(json!({"calc-time": 2})), lasting(2000));
    assert_eq!(parse(json!({"calc-time": 2, "calc-time-unit": "second"})), lasting(2000));
    assert_eq!(parse(json!({"calc-time": 250, "calc-time-unit": "millisecond"})), lasting(250));
}

#[test]
fn what_is_wrong_is_said_in_qemus_words() {
    let out_of_range = "Calculation time is out of range [50ms, 60000ms].";
    for (arguments, desc) in [
        (json!({}), "Parameter 'calc-time' is missing"),
        (json!({"calc-time": 0}), out_of_range),
        (json!({"calc-time": 61}), out_of_range),
        (json!({"calc-time": 49, "calc-time-unit": "millisecond"}), out_of_range),
        (json!({"calc-time": u64::MAX}), out_of_range),
        (
            json!({"calc-time": 1, "mode": "guess"}),
            "Parameter 'mode' does not accept value 'guess'",
        ),
        (
            json!({"calc-time": 1, "mode": "dirty-ring", "sample-pages": 512}),
            "sample-pages is used only in page-sampling mode",
        ),
        (json!({"calc-time": 1, "sample-pages": 5}), "sample-pages is out of range[128, 16384]."),
    ] {
        assert_eq!(parse(arguments), Err(desc.to_owned()));
    }
}

#[test]
fn a_request_of_whole_seconds_is_understood_by_an_older_qemu() {
    let whole = DirtyRateRequest::lasting(Duration::from_secs(3)).to_arguments();
    assert_eq!(Value::Object(whole), json!({"calc-time": 3}));
    let fine = DirtyRateRequest::lasting(Duration::from_millis(300)).to_arguments();
    assert_eq!(Value::Object(fine), json!({"calc-time": 300, "calc-time-unit": "millisecond"}));
}

#[test]
fn an_answer_of_qemu_is_understood_and_ours_has_its_shape() {
    let answer = json!({"status": "measured", "sample-pages": 512, "dirty-rate": 108,
        "mode": "page-sampling", "start-time": 1_693_900_454, "calc-time": 10});
    let info: DirtyRateInfo = serde_json::from_value(answer).unwrap();
    assert_eq!((info.status, info.dirty_rate), (DirtyRateStatus::Measured, Some(108)));
    assert_eq!(info.mode, DirtyRateMode::PageSampling);
    let unstarted = serde_json::to_value(DirtyRateInfo::default()).unwrap();
    assert_eq!(
        unstarted,
        json!({"status": "unstarted", "start-time": 0, "calc-time": 0, "calc-time-unit": "second",
            "sample-pages": 0, "mode": "dirty-bitmap"})
    );
}

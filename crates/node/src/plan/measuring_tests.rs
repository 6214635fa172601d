use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// What an old QEMU answers.
type Answers = fn(&str, &Value) -> Result<Value, (&'static str, &'static str)>;

/// A QEMU that answers so, until the client hangs up.
fn qemu(answers: Answers) -> (TempDir, Client, JoinHandle<()>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let greeting = json!({"QMP": {
            "version": {"qemu": {"major": 5, "minor": 2, "micro": 0}, "package": ""}, "capabilities": [],
        }});
        writeln!(stream, "{greeting}").unwrap();
        let requests = BufReader::new(stream.try_clone().unwrap());
        // Who hangs up with an answer unread ends the conversation, too.
        for line in requests.lines().map_while(Result::ok) {
            let request: Value = serde_json::from_str(&line).unwrap();
            let command = request["execute"].as_str().unwrap();
            let mut reply = match answers(command, &request["arguments"]) {
                Ok(answer) => json!({ "return": answer }),
                Err((class, desc)) => json!({ "error": { "class": class, "desc": desc } }),
            };
            reply["id"] = request["id"].clone();
            if writeln!(stream, "{reply}").is_err() {
                return;
            }
        }
    });
    let client = Client::connect(&path, PATIENCE).unwrap();
    (folder, client, serving)
}

/// QEMU 5.2: seconds and samples are all it knows, and it tells of neither.
fn of_2020(command: &str, arguments: &Value) -> Result<Value, (&'static str, &'static str)> {
    match command {
        "calc-dirty-rate" if arguments.as_object().unwrap().keys().ne(["calc-time"]) => {
            Err(("GenericError", "Parameter 'mode' is unexpected"))
        }
        "query-dirty-rate" => Ok(json!({
            "status": "measured", "dirty-rate": 100, "start-time": 1, "calc-time": 1,
        })),
        "query-memory-size-summary" => Ok(json!({ "base-memory": 1 << 30 })),
        _ => Ok(json!({})),
    }
}

#[test]
fn a_qemu_that_only_samples_is_asked_to_and_known_to() {
    let (_folder, mut client, serving) = qemu(of_2020);
    let (info, told) = by_qemu(&mut client, SECOND).unwrap();
    assert_eq!(info.mode, DirtyRateMode::PageSampling);
    let times: Vec<f64> = told.windows.iter().map(|window| window.window_ms).collect();
    assert_eq!(times, [1000.0, 2000.0], "it counts in whole seconds");
    assert_eq!(told.windows[0].distinct_bytes, 100 << 20);
    drop(client);
    serving.join().unwrap();
}

#[test]
fn a_qemu_that_cannot_measure_is_not_said_to_have_failed_to() {
    let (_folder, mut client, serving) = qemu(|command, _| match command {
        "qmp_capabilities" => Ok(json!({})),
        _ => Err(("CommandNotFound", "The command calc-dirty-rate has not been found")),
    });
    let error = by_qemu(&mut client, SECOND).unwrap_err();
    assert!(matches!(error, PlanError::CannotMeasure), "{error}");
    drop(client);
    serving.join().unwrap();
}

//! `host validate`.

use super::ValidateArguments;
use super::exit::{Exit, print, refusal, say_refused};
use crate::config;
use crate::pipeline;

/// Says what is wrong with a pipeline's file; with `--connect`, also with what it names.
pub(super) async fn validate(arguments: ValidateArguments, json: bool) -> Exit {
    match try_validate(&arguments, json).await {
        Ok(()) => Exit::Done,
        Err(refusal) => {
            say_refused(&refusal);
            Exit::Refused
        }
    }
}

async fn try_validate(arguments: &ValidateArguments, json: bool) -> Result<(), String> {
    let pipeline = config::load(&arguments.pipeline).map_err(|error| error.to_string())?;
    if json {
        let form = serde_json::json!({ "pipeline": pipeline.name, "digest": pipeline.digest, "valid": true });
        print(&form.to_string());
    } else {
        print(config::summary(&pipeline).trim_end());
    }
    if !arguments.connect {
        return Ok(());
    }
    config::check_files(&pipeline).map_err(|error| error.to_string())?;
    let findings = pipeline::check(&pipeline).await;
    let mut refusals = Vec::new();
    for finding in findings {
        match finding.result {
            Ok(what) if json => {
                print(&serde_json::json!({ "checked": finding.subject, "found": what }).to_string());
            }
            Ok(what) => print(&format!("ok    {}: {what}", finding.subject)),
            Err(error) => refusals.push(format!("{}: {}", finding.subject, refusal(&error))),
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals.join("\nerror: ")) }
}

//! Each transform's own build command, for `--build` and `host dev`.

use std::process::Stdio;

use tokio::process::Command;

use crate::config::{self, Build};

/// Runs the build commands in order; each one's output goes to standard error.
///
/// # Errors
/// Which transform's command failed, and how.
pub(super) async fn build_plugins(pipeline: &config::Pipeline) -> Result<(), String> {
    for transform in &pipeline.transforms {
        let Some(build) = &transform.build else { continue };
        tracing::info!(transform = %transform.name, command = %build.command, "building");
        run_build(build).await.map_err(|why| format!("transforms.{}.build: {why}", transform.name))?;
    }
    Ok(())
}

/// Runs one; its output goes to standard error.
///
/// # Errors
/// How it failed.
pub(super) async fn run_build(build: &Build) -> Result<(), String> {
    let folder = build.dir.display();
    let status = Command::new("sh")
        .arg("-c")
        .arg(&build.command)
        .current_dir(&build.dir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .status()
        .await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` in {folder} ended with {status}", build.command)),
        Err(error) => Err(format!("could not run `sh` in {folder}: {error}")),
    }
}

//! `--build`: each transform's own build command.

use std::process::Stdio;

use tokio::process::Command;

use crate::config;

/// Runs the build commands in order; each one's output goes to standard error.
///
/// # Errors
/// Which transform's command failed, and how.
pub(super) async fn build_plugins(pipeline: &config::Pipeline) -> Result<(), String> {
    for transform in &pipeline.transforms {
        let Some(build) = &transform.build else { continue };
        tracing::info!(transform = %transform.name, command = %build.command, "building");
        let status = Command::new("sh")
            .arg("-c")
            .arg(&build.command)
            .current_dir(&build.dir)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .await;
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return Err(format!(
                    "transforms.{}.build: `{}` in {} ended with {status}",
                    transform.name,
                    build.command,
                    build.dir.display()
                ));
            }
            Err(error) => {
                let folder = build.dir.display();
                return Err(format!(
                    "transforms.{}.build: could not run `sh` in {folder}: {error}",
                    transform.name
                ));
            }
        }
    }
    Ok(())
}

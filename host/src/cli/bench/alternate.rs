//! A pipeline under load whose first transform goes from one component to another, again and again.
//!
//! Owns the order: warm up, swap, look, swap back. Does not know what a swap is made of. Invariant: only
//! swaps that every partition has shown are measured.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::exit::refusal;
use super::swaps::{Figures, Sampler, Swapped};
use crate::config;
use crate::control::model::{Boundary, PipelineStatus, SwapOptions, SwapReport};
use crate::control::{Declined, Operate};
use crate::pipeline::{Operator, Prepared, Summary};

/// How long the lanes work before the first swap: compilers, caches and queues are warm by then.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long they work between a swap that all have shown and the next one, so that the seconds around swaps
/// have seconds beside them that are like any other.
const BETWEEN: Duration = Duration::from_millis(500);

/// How often it is looked whether a swap has begun: a twentieth of a sample.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long the partitions may take to show a swap. Under full load a cut comes long before.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// What is to be swapped.
#[derive(Debug)]
pub(super) struct Alternation {
    pipeline: String,
    transform: String,
    /// The other one, and the one that the pipeline begins with.
    components: [Bytes; 2],
    swaps: usize,
}

impl Alternation {
    /// Between the first transform's own component and another one.
    pub(super) fn new(config: &config::Pipeline, other: &Path, swaps: usize) -> Result<Self, String> {
        let Some(transform) = config.transforms.first() else {
            return Err(String::from("the pipeline has no transform that could be swapped"));
        };
        let read = |file: &Path| match std::fs::read(file) {
            Ok(component) => Ok(Bytes::from(component)),
            Err(error) => Err(format!("`{}` can't be read: {error}", file.display())),
        };
        let components = [read(other)?, read(&transform.plugin)?];
        if components[0] == components[1] {
            return Err(format!(
                "`{}` is what transform `{}` runs already; name another component",
                other.display(),
                transform.name
            ));
        }
        Ok(Self { pipeline: config.name.clone(), transform: transform.name.clone(), components, swaps })
    }

    /// Runs the pipeline until all swaps are done.
    pub(super) async fn run(&self, prepared: Prepared) -> Result<(Summary, Figures), String> {
        let operator = prepared.operator();
        let sampler = Sampler::start(prepared.stats());
        let stop = CancellationToken::new();
        let running = prepared.run(stop.cancelled());
        tokio::pin!(running);
        let mut swaps = Vec::new();
        tokio::select! {
            summary = &mut running => {
                summary.map_err(|error| refusal(&error))?;
                Err(format!(
                    "the records of the topic lasted for {} of {} swaps; give more of them by `--records`",
                    swaps.len(),
                    self.swaps
                ))
            }
            swapped = self.alternate(&operator, &sampler, &mut swaps) => {
                stop.cancel();
                let summary = running.await.map_err(|error| refusal(&error))?;
                swapped?;
                Ok((summary, sampler.figures(&swaps)))
            }
        }
    }

    async fn alternate(
        &self,
        operator: &Operator,
        sampler: &Sampler,
        swaps: &mut Vec<Swapped>,
    ) -> Result<(), String> {
        while sampler.records() == 0 {
            sleep(LOOK_EVERY).await;
        }
        sleep(WARM_UP).await;
        // Not measured: what a run before left behind may be either of the two, and both get compiled.
        for component in &self.components {
            self.swap(operator, sampler, component).await?;
        }
        for nth in 0..self.swaps {
            let (report, at) = self.swap(operator, sampler, &self.components[nth % 2]).await?;
            swaps.push(measured(&report, at)?);
            sleep(BETWEEN).await;
        }
        // The second around the last one.
        sleep(BETWEEN).await;
        Ok(())
    }

    /// Swaps, and says when the lanes were told.
    async fn swap(
        &self,
        operator: &Operator,
        sampler: &Sampler,
        component: &Bytes,
    ) -> Result<(SwapReport, f64), String> {
        let before = self.status(operator).await?.revision;
        let timeout_ms = u64::try_from(SHOWN_WITHIN.as_millis()).unwrap_or(u64::MAX);
        let options = SwapOptions { timeout_ms, ..SwapOptions::default() };
        let swap = operator.swap(&self.pipeline, &self.transform, component.clone(), options);
        tokio::pin!(swap);
        let mut at = None;
        let report = loop {
            tokio::select! {
                report = &mut swap => break report.map_err(declined)?,
                () = sleep(LOOK_EVERY), if at.is_none() => {
                    let has_begun = self.status(operator).await?.revision > before;
                    at = has_begun.then(|| sampler.now());
                }
            }
        };
        Ok((report, at.unwrap_or_else(|| sampler.now())))
    }

    async fn status(&self, operator: &Operator) -> Result<PipelineStatus, String> {
        operator.pipeline(&self.pipeline).await.map_err(declined)
    }
}

/// What a report says of pauses.
fn measured(report: &SwapReport, at: f64) -> Result<Swapped, String> {
    let pending: Vec<_> = report
        .partitions
        .iter()
        .filter(|partition| partition.state == Boundary::Pending)
        .map(|partition| format!("{}/{}", partition.topic, partition.partition))
        .collect();
    if !pending.is_empty() {
        let pending = pending.join(", ");
        return Err(format!("revision {} did not reach {pending} in {SHOWN_WITHIN:?}", report.revision));
    }
    if !report.changed {
        return Err(format!("revision {} runs that component already", report.revision));
    }
    let partitions = || report.partitions.iter();
    Ok(Swapped {
        at,
        pauses_ms: partitions().filter_map(|partition| partition.pause_ms).collect(),
        waits_ms: partitions().filter_map(|partition| partition.waited_ms).collect(),
    })
}

fn declined(declined: Declined) -> String {
    let refusal = declined.refusal();
    match &refusal.hint {
        Some(hint) => format!("{}\nhint: {hint}", refusal.message),
        None => refusal.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::control::model::PartitionBoundary;

    use super::*;

    fn partition(partition: i32, state: Boundary, pause_ms: Option<f64>) -> PartitionBoundary {
        PartitionBoundary {
            topic: String::from("clicks"),
            partition,
            state,
            last_old: None,
            first_new: None,
            entry: None,
            pause_ms,
            waited_ms: pause_ms.map(|pause| pause * 2.0),
        }
    }

    #[test]
    fn every_lane_of_a_swap_is_measured_and_an_idle_one_has_no_pause() {
        let partitions = vec![
            partition(0, Boundary::Swapped, Some(1.5)),
            partition(1, Boundary::Idle, None),
            partition(2, Boundary::Swapped, Some(0.5)),
        ];
        let report = SwapReport { changed: true, partitions, ..SwapReport::default() };
        let swapped = measured(&report, 7.0).expect("all have shown it");
        assert_eq!((swapped.pauses_ms, swapped.waits_ms), (vec![1.5, 0.5], vec![3.0, 1.0]));
    }

    #[test]
    fn a_swap_that_is_not_shown_everywhere_is_no_measurement() {
        let partitions =
            vec![partition(0, Boundary::Swapped, Some(1.0)), partition(1, Boundary::Pending, None)];
        let report = SwapReport { changed: true, partitions, ..SwapReport::default() };
        assert!(measured(&report, 7.0).expect_err("one is pending").contains("clicks/1"));
        assert!(measured(&SwapReport::default(), 7.0).expect_err("nothing changed").contains("already"));
    }
}

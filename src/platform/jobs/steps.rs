//! Work that is larger than a transaction, in steps: each step is a job with one transaction.
//!
//! A plan is a document with the work and its progress. [`Tx::begin`] stores it in the transaction that
//! decides on the work, with the job of the first step. Each step does a bounded batch, and stores the plan and the job of
//! the next step in the same transaction. If the process dies, the work continues after the last step that was committed;
//! no batch takes effect twice.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::model::Job;
use super::subscriber::{JobError, Run, Served};
use crate::kernel::{Clock, Ids, Timestamp};
use crate::platform::store::{Document, Store, StoreError, Tx};

/// Work in steps.
#[async_trait]
pub trait Steps: Send + Sync + 'static {
    /// The work and its progress: the cursor after which the next batch begins, and counts for people.
    type Plan: Document;

    /// Kind of the jobs.
    const KIND: &'static str;

    /// Guards of the documents that a step changes and that others want to change, too: see `Store::transact_at`.
    const GUARDS: &'static [&'static str] = &[];

    /// Does the next batch and records the progress in `plan`. A batch is small (a few hundred documents), because a
    /// transaction can take five seconds at most. Does nothing if the plan is finished.
    ///
    /// # Errors
    /// Those of the store. The step is then retried.
    async fn step(&self, tx: &Tx, plan: &mut Self::Plan) -> Result<Progress, StoreError>;
}

/// Whether there is another step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is another step.
    More,
    /// There is another step, and nothing to do before this time has passed.
    Later(Duration),
    /// The plan is finished.
    Done,
}

impl Tx {
    /// Stores a plan, with the job (of this id) that does its first step.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] if a plan with its id exists.
    pub async fn begin<S: Steps>(
        &self,
        plan: &S::Plan,
        job: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.insert(plan).await?;
        self.enqueue(&step::<S>(plan.id(), job, now)).await
    }

    /// Goes on with a plan that was stored before and whose last step said that there is no other, with a job of this id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn go_on<S: Steps>(&self, plan: &str, job: String, now: Timestamp) -> Result<(), StoreError> {
        self.enqueue(&step::<S>(plan, job, now)).await
    }
}

/// The job that does the next step of a plan. A plan has one at a time.
fn step<S: Steps>(plan: &str, id: String, now: Timestamp) -> Job {
    Job::of_kind(S::KIND, id, Some(plan.to_owned()), json!({ "plan": plan }), now)
}

/// Handles the jobs of such work.
pub(super) struct Stepper<S> {
    pub steps: Arc<S>,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
}

#[async_trait]
impl<S: Steps> Served for Stepper<S> {
    fn concurrency(&self) -> usize {
        1
    }

    fn attempts(&self) -> u32 {
        12
    }

    fn per_second(&self) -> Option<u32> {
        None
    }

    async fn run(&self, payload: Value, _: Run) -> Result<(), JobError> {
        let plan = payload["plan"].as_str().ok_or_else(|| JobError::Dead("the job names no plan".into()))?;
        let (next, now) = (self.ids.next(), self.clock.now());
        let done: Result<(), StoreError> = self
            .store
            .transact_at(S::GUARDS, async |tx| {
                let Some(mut plan) = tx.get::<S::Plan>(plan).await? else { return Ok(()) };
                let progress = self.steps.step(&tx, &mut plan).await?;
                tx.put(&plan).await?;
                match progress {
                    Progress::More => tx.enqueue(&step::<S>(plan.id(), next.clone(), now)).await,
                    Progress::Later(pause) => {
                        tx.enqueue(&step::<S>(plan.id(), next.clone(), now).at(now.plus(pause))).await
                    }
                    Progress::Done => Ok(()),
                }
            })
            .await;
        Ok(done?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::kernel::{ManualClock, RandomIds};
    use crate::platform::jobs;
    use crate::platform::store::testing::TestStore;
    use crate::platform::store::{Filter, Keep, Personal, Query, schema};

    /// A thing that is to be counted once.
    #[derive(Serialize, Deserialize)]
    struct Thing {
        id: String,
        times: u32,
    }

    impl Document for Thing {
        const COLLECTION: &'static str = "things";
        const PERSONAL: Personal = Personal::None;
        const KEEP: Keep = Keep::with_store("test data");

        fn id(&self) -> &str {
            &self.id
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Plan {
        id: String,
        after: String,
        done: usize,
    }

    impl Document for Plan {
        const COLLECTION: &'static str = "plans";
        const PERSONAL: Personal = Personal::None;
        const KEEP: Keep = Keep::with_store("test data");

        fn id(&self) -> &str {
            &self.id
        }
    }

    /// Counts all things, fifty in a step. If told to, it fails once in the middle of a step.
    struct Counting {
        fails: AtomicBool,
    }

    #[async_trait]
    impl Steps for Counting {
        type Plan = Plan;
        const KIND: &'static str = "things.count";

        async fn step(&self, tx: &Tx, plan: &mut Plan) -> Result<Progress, StoreError> {
            let next = Query::new(Filter::Gt("id".into(), plan.after.as_str().into())).limit(50);
            let mut things: Vec<Thing> = tx.find(next).await?;
            for (n, thing) in things.iter_mut().enumerate() {
                thing.times += 1;
                tx.put(thing).await?;
                if n == 30 && plan.done > 0 && self.fails.swap(false, Ordering::Relaxed) {
                    return Err(StoreError::Busy);
                }
            }
            plan.done += things.len();
            match things.pop() {
                Some(last) if things.len() == 49 => {
                    plan.after = last.id;
                    Ok(Progress::More)
                }
                Some(last) => {
                    plan.after = last.id;
                    Ok(Progress::Done)
                }
                None => Ok(Progress::Done),
            }
        }
    }

    struct World {
        store: TestStore,
        stepper: Stepper<Counting>,
    }

    impl World {
        async fn with_things(number: usize, fails: bool) -> Self {
            let schemas = [jobs::schemas(), vec![schema::<Thing>(), schema::<Plan>()]].concat();
            let store = TestStore::with(&schemas).await;
            let plan = Plan { id: "plan".into(), after: String::new(), done: 0 };
            let begun: Result<(), StoreError> = store
                .transact(async |tx| {
                    for n in 0..number {
                        tx.insert(&Thing { id: format!("{n:03}"), times: 0 }).await?;
                    }
                    tx.begin::<Counting>(&plan, "first".into(), Timestamp::from_millis(0)).await
                })
                .await;
            begun.unwrap();
            let stepper = Stepper {
                steps: Arc::new(Counting { fails: fails.into() }),
                store: Store::clone(&store),
                clock: Arc::new(ManualClock::at(Timestamp::from_millis(0))),
                ids: Arc::new(RandomIds),
            };
            Self { store, stepper }
        }

        async fn run(&self, job: &Job) -> Result<(), JobError> {
            let run = Run { job_id: job.id.clone(), attempt: 1, crashes: 0 };
            self.stepper.run(job.payload.clone(), run).await
        }

        /// Runs the waiting jobs until none is left. Each runs `times` times, as after a crash. Returns how many there were.
        async fn run_all(&self, times: usize) -> usize {
            for jobs in 0.. {
                let waiting: Vec<Job> = self.store.find(Query::new(Filter::All)).await.unwrap();
                let Some(job) = waiting.first() else { return jobs };
                // As the workers do: it is claimed, so that the next can be queued.
                let claimed: Result<bool, StoreError> =
                    self.store.transact(async |tx| tx.delete::<Job>(&job.id).await).await;
                claimed.unwrap();
                for _ in 0..times {
                    while self.run(job).await.is_err() {}
                }
            }
            unreachable!("it returns from the loop")
        }

        async fn counted(&self) -> Vec<u32> {
            let things: Vec<Thing> = self.store.find(Query::new(Filter::All).limit(1000)).await.unwrap();
            things.into_iter().map(|thing| thing.times).collect()
        }

        async fn done(&self) -> usize {
            self.store.get::<Plan>("plan").await.unwrap().unwrap().done
        }
    }

    #[tokio::test]
    async fn the_work_is_done_in_as_many_jobs_as_it_has_batches() {
        let world = World::with_things(120, false).await;
        assert_eq!(world.run_all(1).await, 3);
        assert_eq!((world.counted().await, world.done().await), (vec![1; 120], 120));
    }

    #[tokio::test]
    async fn a_step_that_fails_in_the_middle_or_runs_again_counts_nothing_twice() {
        let world = World::with_things(120, true).await;
        world.run_all(2).await;
        assert_eq!((world.counted().await, world.done().await), (vec![1; 120], 120));
    }

    /// Waits a minute before its only step.
    struct Waiting;

    #[async_trait]
    impl Steps for Waiting {
        type Plan = Plan;
        const KIND: &'static str = "things.wait";

        async fn step(&self, _: &Tx, plan: &mut Plan) -> Result<Progress, StoreError> {
            plan.done += 1;
            Ok(match plan.done {
                1 => Progress::Later(Duration::from_secs(60)),
                _ => Progress::Done,
            })
        }
    }

    #[tokio::test]
    async fn a_step_can_be_due_later_and_a_plan_that_rested_goes_on() {
        let world = World::with_things(0, false).await;
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let ids: Arc<dyn Ids> = Arc::new(RandomIds);
        let store = Store::clone(&world.store);
        let stepper = Stepper { steps: Arc::new(Waiting), store, clock, ids };
        let step = async || {
            let run = Run { job_id: "job".into(), attempt: 1, crashes: 0 };
            stepper.run(json!({ "plan": "plan" }), run).await.unwrap();
            let waiting = Query::new(Filter::eq("kind", Waiting::KIND));
            let waiting: Vec<Job> = world.store.find(waiting).await.unwrap();
            waiting.into_iter().map(|job| job.run_at.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(step().await, [60]);
        assert_eq!(step().await, [60], "there is no further one");
        let now = Timestamp::from_millis(0);
        let gone_on: Result<(), StoreError> =
            world.store.transact(async |tx| tx.go_on::<Waiting>("plan", "next".into(), now).await).await;
        gone_on.unwrap();
        assert_eq!(step().await, [0], "a plan has one waiting step, due at the earlier time");
        assert_eq!(world.done().await, 3);
    }

    #[tokio::test]
    async fn a_plan_that_is_gone_has_no_steps() {
        let world = World::with_things(60, false).await;
        let gone: Result<bool, StoreError> =
            world.store.transact(async |tx| tx.delete::<Plan>("plan").await).await;
        assert_eq!(gone, Ok(true));
        assert_eq!(world.run_all(1).await, 1);
        assert_eq!(world.counted().await, vec![0; 60]);
    }
}

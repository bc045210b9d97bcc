//! The loop of one call: drain what policy wants, then wait for the attempt, the clock, or the client leaving.
//!
//! It decides nothing. Dropping the future is how a client leaves: [`Run`]'s destructor tells policy and settles.

use std::pin::{Pin, pin};

use policy::call::action::Action;
use tokio::time::{Sleep, sleep_until};
use types::time::Mono;

use crate::engine::output::Output;
use crate::engine::run::Run;

/// Runs a call to its end.
pub async fn drive(mut run: Box<Run>, output: Output) {
    let mut alarm = Alarm::new(&run);
    let mut stop = pin!(run.stop());
    stop.as_mut().enable();
    loop {
        run.apply_effects();
        while let Some(action) = run.next_action() {
            match action {
                Action::Launch(launch) => run.launch(&launch).await,
                Action::Cancel(attempt) => run.cancel_attempt(attempt),
                Action::Commit(attempt) => run.commit(attempt, &output).await,
                Action::Done => {
                    run.finish();
                    run.last_words(&output).await;
                    if let Some(attempt) = run.take_attempt() {
                        run.drain(attempt);
                    }
                    return;
                }
                // What few calls come to is not part of every call's future.
                Action::Fail(failure) => return Box::pin(run.fail(failure, &output)).await,
            }
            run.apply_effects();
        }
        alarm.set(&run);
        // Biased to the attempt: what has arrived counts before the clock that waited for it.
        tokio::select! {
            biased;
            progress = run.progress() => run.take(progress, &output).await,
            () = &mut alarm.sleep => alarm.rang(&mut run, &output),
            () = &mut stop => return Box::pin(run.shut_down(&output)).await,
        }
    }
}

/// The call's next deadline as a timer. It is only moved forward when it must ring earlier; ringing too early costs
/// one look at the clock, moving it at every chunk would cost a lock each.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set_to: Mono,
}

impl Alarm {
    fn new(run: &Run) -> Alarm {
        let set_to = run.deadline();
        Alarm {
            sleep: Box::pin(sleep_until(run.clock().instant(set_to))),
            set_to,
        }
    }

    fn set(&mut self, run: &Run) {
        let deadline = run.deadline();
        if deadline < self.set_to || self.sleep.is_elapsed() {
            self.set_to = deadline;
            self.sleep.as_mut().reset(run.clock().instant(deadline));
        }
    }

    fn rang(&mut self, run: &mut Run, output: &Output) {
        let now = run.clock().now();
        if output.take_client_paused() {
            run.client_paused(now);
        }
        if run.deadline() <= now.mono {
            run.handle_timeout(now);
        }
    }
}

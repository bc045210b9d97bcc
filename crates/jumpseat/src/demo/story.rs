//! The story: its acts as data, and the loop that plays them and tells each second.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::demo::screen::Screen;
use crate::demo::stage::{Stage, TARGETS};
use crate::demo::summary::{Played, Summary};
use crate::demo::tally::Tally;
use crate::demo::traffic::{Client, Traffic};

/// One act.
#[derive(Debug)]
pub struct Act {
    /// What happens.
    pub title: &'static str,
    /// What to look at.
    pub notice: &'static str,
    /// What the providers do from now on.
    pub turn: Turn,
    /// How long it lasts, in seconds.
    pub seconds: u32,
    /// It goes on until the primary is back in use, but no longer than this, in seconds.
    pub until_recovered: Option<u32>,
}

/// What changes when an act begins.
#[derive(Debug, Clone, Copy)]
pub enum Turn {
    /// Nothing.
    Stay,
    /// A provider, counted from 0, begins to behave so.
    Afflict(usize, &'static str),
    /// All providers are well again.
    MendAll,
}

/// The acts: about twenty seconds together.
pub const STORY: [Act; 6] = [
    Act {
        title: "All is well",
        notice: "The primary answers every call; nobody else is asked.",
        turn: Turn::Stay,
        seconds: 2,
        until_recovered: None,
    },
    Act {
        title: "The primary goes down: it refuses connections",
        notice: "A few calls try it, fail and are answered by the second. Then its breaker opens and nobody waits for it.",
        turn: Turn::Afflict(0, "refuse"),
        seconds: 3,
        until_recovered: None,
    },
    Act {
        title: "Now the second says 429, come back in 3 s",
        notice: "It is not asked again before that: it rests. The third answers.",
        turn: Turn::Afflict(1, r#"{ "status": 429, "retry_after": "3s" }"#),
        seconds: 3,
        until_recovered: None,
    },
    Act {
        title: "Both are well again",
        notice: "A health check succeeds, one real call probes the primary, its breaker closes: it serves again.",
        turn: Turn::MendAll,
        seconds: 3,
        until_recovered: Some(10),
    },
    Act {
        title: "The primary stalls: it takes calls and says nothing",
        notice: "Calls wait 0.8 s (streams) or 1.5 s for it, then move on; p95 shows it. Its breaker opens: the wait is gone.",
        turn: Turn::Afflict(0, "silence-first-token"),
        seconds: 4,
        until_recovered: None,
    },
    Act {
        title: "The primary is well again",
        notice: "It is back in use without anybody's doing.",
        turn: Turn::MendAll,
        seconds: 3,
        until_recovered: Some(10),
    },
];

const SECOND: Duration = Duration::from_secs(1);

/// Plays the story under traffic and sums it up.
pub async fn tell(stage: &Stage, screen: &mut Screen) -> anyhow::Result<Summary> {
    let client = Client::of(stage)?;
    let mut traffic = Traffic::of(client.clone());
    let began = Instant::now();
    let acts = tokio::select! {
        // It has no end of its own: the story decides.
        () = traffic.flow() => unreachable!("traffic flows for as long as it is polled"),
        acts = play(stage, &client, screen) => acts?,
    };
    let seen = traffic.finish().await;
    let total = read(&client).await?;
    Ok(Summary {
        seconds: began.elapsed().as_secs_f64(),
        acts,
        total,
        seen,
    })
}

async fn play(stage: &Stage, client: &Client, screen: &mut Screen) -> anyhow::Result<Vec<Played>> {
    let mut acts = Vec::new();
    let mut last = read(client).await?;
    let mut tick = Instant::now();
    let mut second = 0;
    for (number, act) in STORY.iter().enumerate() {
        screen.act(number + 1, act)?;
        match act.turn {
            Turn::Stay => {}
            Turn::Afflict(tier, behaviour) => stage.afflict(tier, behaviour),
            Turn::MendAll => (0..TARGETS.len()).for_each(|tier| stage.mend(tier)),
        }
        let before = last.clone();
        let (mut lasted, mut recovered_after) = (0, None);
        loop {
            tick += SECOND;
            sleep_until(tick).await;
            (second, lasted) = (second + 1, lasted + 1);
            let now = read(client).await?;
            screen.second(second, &now.since(&last))?;
            last = now;
            let recovered = last.targets[0].is_in_use();
            if recovered && recovered_after.is_none() {
                recovered_after = Some(lasted);
            }
            let waiting = act.until_recovered.is_some_and(|max| !recovered && lasted < max);
            if lasted >= act.seconds && !waiting {
                break;
            }
        }
        acts.push(Played {
            title: act.title,
            seconds: lasted,
            tally: last.since(&before),
            recovered_after: recovered_after.filter(|_| act.until_recovered.is_some()),
        });
    }
    Ok(acts)
}

async fn read(client: &Client) -> anyhow::Result<Tally> {
    Ok(Tally::of(&client.scrape().await?, &TARGETS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_takes_about_twenty_seconds_and_its_behaviours_exist() {
        assert!((15..=20).contains(&STORY.iter().map(|act| act.seconds).sum::<u32>()));
        for act in &STORY {
            match act.turn {
                Turn::Afflict(_, json) if json.starts_with('{') => drop(fake::Behaviour::from_json(json).unwrap()),
                Turn::Afflict(_, name) => drop(fake::Behaviour::named(name)),
                Turn::Stay | Turn::MendAll => {}
            }
        }
    }
}

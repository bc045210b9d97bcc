//! `jumpseat budgets`: how the budgets of a running gateway stand, over its admin API.

use anyhow::{Context, anyhow};
use gateway::admin::api::budgets::BudgetList;
use gateway::spend::report::BudgetView;
use http::Method;
use serde_json::json;

use crate::admin_client::AdminClient;
use crate::cli::BudgetsArgs;
use crate::keys::on_a_runtime;
use crate::outcome::{CommandError, Ended};
use crate::source;
use crate::table::table;

/// Runs it.
pub fn run(args: &BudgetsArgs, as_json: bool) -> Result<Ended, CommandError> {
    let config = source::load_house(args.source.config.as_deref())?;
    let client = AdminClient::new(&config, args.admin_token.as_deref())?;
    on_a_runtime(async {
        let answer = client.ask(Method::GET, "/api/v1/budgets", None).await?;
        // Counters live in the gateway: without one there is nothing to look at.
        let answer = answer.ok_or_else(|| anyhow!("no gateway runs at {} (`admin.listen`)", config.admin.listen))?;
        let list: BudgetList =
            serde_json::from_value(answer).context("the gateway answers otherwise than this version does")?;
        if as_json {
            println!("{}", json!(list));
        } else if list.budgets.is_empty() {
            println!("There are no budgets. Write `budgets: {{ daily: {{ limit_usd: 100 }} }}`, or give a key one.");
        } else {
            let mut rows = table(HEAD);
            for budget in &list.budgets {
                rows.add_row(row(budget));
            }
            println!("{rows}");
        }
        Ok(Ended::Fine)
    })
}

const HEAD: [&str; 8] = [
    "budget",
    "level",
    "left",
    "spent",
    "held",
    "limit",
    "an hour",
    "the money ends",
];

fn row(budget: &BudgetView) -> Vec<String> {
    let dollars = |text: &str| {
        text.parse::<f64>().map_or_else(
            |_| text.to_owned(),
            |usd| match usd {
                // Cents would say that nothing was spent.
                usd if usd > 0.0 && usd < 1.0 => format!("${usd:.4}"),
                usd => format!("${usd:.2}"),
            },
        )
    };
    let ends = match &budget.ends_at {
        Some(at) => at.clone(),
        None => format!("not before {}", budget.resets_at),
    };
    vec![
        budget.id.clone(),
        budget.level.clone(),
        format!("{:.0}%", budget.remaining * 100.0),
        dollars(&budget.spent_usd),
        dollars(&budget.reserved_usd),
        format!("{}/{}", dollars(&budget.limit_usd), budget.window),
        dollars(&budget.burn_usd_per_hour),
        ends,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shown_with_its_level_its_rate_and_the_hour_at_which_its_money_ends() {
        let view = BudgetView {
            id: "daily".into(),
            level: "balanced".into(),
            window: "day".into(),
            timezone: "UTC".into(),
            window_start: "2026-11-21T00:00:00Z".into(),
            resets_at: "2026-11-22T00:00:00Z".into(),
            limit_usd: "100.00".into(),
            reserve_usd: "5.00".into(),
            spent_usd: "38.000000001".into(),
            reserved_usd: "0.12".into(),
            remaining: 0.6,
            burn_usd_per_hour: "3.17".into(),
            ends_at: Some("2026-11-21T18:00:00Z".into()),
        };
        let told = row(&view).join(" | ");
        assert_eq!(
            told,
            "daily | balanced | 60% | $38.00 | $0.1200 | $100.00/day | $3.17 | 2026-11-21T18:00:00Z"
        );
        let lasts = BudgetView { ends_at: None, ..view };
        assert_eq!(row(&lasts)[7], "not before 2026-11-22T00:00:00Z");
    }
}

//! Probing: an attempt to use a key, to see it refused.

use aws_credential_types::Credentials;
use aws_sdk_sts::config::IdentityCache;
use severance_lifecycle::failure::Failure;
use severance_lifecycle::record::ProbeAnswer;

use crate::calls::Calls;
use crate::secret_index::{Holds, Place, holders, is_final};
use crate::secret_value::HeldKey;

/// Answers of STS that tell of the key itself.
const REFUSED: &str = "InvalidClientTokenId";
const WRONG_SECRET: &str = "SignatureDoesNotMatch";

/// Tries a key with `sts:GetCallerIdentity`, which no policy can deny, in the regional endpoint whose
/// turn it is by `sample`. Beside it, at the same time and over connections that are as fresh, our own
/// identity of the same account is tried there: a wrong partition or a disabled region refuses a live
/// key with the same code.
///
/// # Errors
/// Never for what a probe may tell; see [`ProbeAnswer`].
pub(crate) async fn probe(
    calls: &Calls<'_>,
    key_id: &str,
    sample: u32,
) -> Result<ProbeAnswer, Failure> {
    let mut unsure = None;
    for holder in holders(calls, key_id) {
        match holder.read(calls).await {
            Ok(Some(held)) if held.id == key_id => {
                let number = usize::try_from(sample).unwrap_or_default();
                match attempt(calls, &held, number).await {
                    ProbeAnswer::Unavailable { .. } => holder.is_wrong(),
                    answer => return Ok(answer),
                }
            }
            Err(failure) if !is_final(&failure) => {
                let endpoint = format!("secretsmanager of {}", holder.arn);
                unsure = Some(ProbeAnswer::Inconclusive { endpoint, why: failure.code });
            }
            Ok(_) | Err(_) => {}
        }
    }
    match (by_search(calls, key_id, sample).await?, unsure) {
        (ProbeAnswer::Unavailable { .. }, Some(unsure)) => Ok(unsure),
        (answer, _) => Ok(answer),
    }
}

/// A try of a key with the secret half that a search of secrets finds.
async fn by_search(calls: &Calls<'_>, key_id: &str, sample: u32) -> Result<ProbeAnswer, Failure> {
    let holds = calls.account.secrets.holds(calls, key_id).await;
    let mut last = if holds == Holds::Open {
        let why = "secrets cannot be searched at the moment".to_owned();
        ProbeAnswer::Inconclusive { endpoint: "secretsmanager".to_owned(), why }
    } else {
        unavailable("no secret that may be read holds its secret half")
    };
    let mut is_unsure = false;
    for place in calls.account.secrets.places(key_id) {
        match at_place(calls, &place, key_id, sample).await {
            answer @ ProbeAnswer::Unavailable { .. } => {
                calls.account.secrets.is_unusable(key_id, &place.arn);
                // What may be answered yet is not hidden behind what never will be.
                if !is_unsure {
                    last = answer;
                }
            }
            answer @ ProbeAnswer::Inconclusive { .. } => {
                is_unsure = true;
                last = answer;
            }
            told => return Ok(told),
        }
    }
    Ok(last)
}

/// A try of a key with what a secret holds.
async fn at_place(calls: &Calls<'_>, place: &Place, key_id: &str, sample: u32) -> ProbeAnswer {
    let held = match secret_half(calls, place, key_id).await {
        Ok(Some(held)) => held,
        Ok(None) => return unavailable(&format!("{} does not hold it", place.arn)),
        Err(failure) if is_final(&failure) => {
            return unavailable(&format!("{}: {}", place.arn, failure.code));
        }
        Err(failure) => {
            let endpoint = format!("secretsmanager.{}", calls.account.regions[place.region]);
            return ProbeAnswer::Inconclusive { endpoint, why: failure.code };
        }
    };
    let answer = attempt(calls, &held, usize::try_from(sample).unwrap_or_default()).await;
    if matches!(answer, ProbeAnswer::Unavailable { .. }) {
        // It was remembered when it was read.
        let same = holders(calls, key_id).into_iter().filter(|holder| holder.arn == place.arn);
        same.for_each(|holder| holder.is_wrong());
    }
    answer
}

/// Tries a key once; see [`probe`].
pub(crate) async fn attempt(calls: &Calls<'_>, held: &HeldKey, sample: usize) -> ProbeAnswer {
    let number = sample % calls.account.regions.len();
    let (region, config) = calls.account.probe_config(number);
    let endpoint = format!("sts.{region}");
    let key = Credentials::new(&held.id, held.secret.reveal(), None, None, "severance-probe");
    // No cache: it would keep the secret half for as long as the account's clients live.
    let trying = config.clone().credentials_provider(key).identity_cache(IdentityCache::no_cache());
    let trying = aws_sdk_sts::Client::from_conf(trying.build());
    let control = aws_sdk_sts::Client::from_conf(config.build());
    let (answer, control) = futures::join!(
        calls.call(("sts:GetCallerIdentity(probe)", number), trying.get_caller_identity().send()),
        calls
            .call(("sts:GetCallerIdentity(control)", number), control.get_caller_identity().send())
    );
    let control = match control {
        Ok(us) if us.account.as_deref() == Some(calls.id().as_str()) => Ok(()),
        Ok(us) => Err(format!("the control is of account {}", us.account.unwrap_or_default())),
        Err(failure) => Err(format!("the control failed: {}", failure.code)),
    };
    match answer {
        Ok(_) => ProbeAnswer::Accepted { endpoint },
        Err(refused) => match (refused.code.as_str(), control) {
            (REFUSED, Ok(())) => ProbeAnswer::Refused { endpoint },
            // Our copy of the secret half is wrong: whatever is answered to it tells nothing.
            (WRONG_SECRET, Ok(())) => {
                unavailable("what the secret holds is not this key's secret half")
            }
            (REFUSED | WRONG_SECRET, Err(why)) => ProbeAnswer::Inconclusive { endpoint, why },
            (_, _) => ProbeAnswer::Inconclusive { endpoint, why: refused.code },
        },
    }
}

/// The key's secret half: the current version of the secret or, after a rotation, the previous one.
async fn secret_half(
    calls: &Calls<'_>,
    place: &Place,
    key_id: &str,
) -> Result<Option<HeldKey>, Failure> {
    let secrets = &calls.account.secrets;
    let current = secrets.read(calls, place.region, &place.arn, None).await?;
    if let Some(held) = current.filter(|held| held.id == key_id) {
        return Ok(Some(held));
    }
    let previous = secrets.read(calls, place.region, &place.arn, Some("AWSPREVIOUS")).await;
    let previous = crate::failure::present(previous)?.flatten();
    Ok(previous.filter(|held| held.id == key_id))
}

fn unavailable(why: &str) -> ProbeAnswer {
    ProbeAnswer::Unavailable { why: why.to_owned() }
}

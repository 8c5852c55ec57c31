//! What the login host's numbers mean.

/// Why the login host gave no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignInProblem {
    /// The client secret is not one of the app's.
    WrongSecret,
    /// All secrets of the app have ended.
    ExpiredSecret,
    /// The app is not known in the tenant, or disabled.
    AppNotFound,
    /// The tenant is not known in this cloud.
    TenantNotFound,
    /// An administrator has not consented.
    ConsentMissing,
    /// A policy of the tenant blocks the app.
    ConditionalAccess,
    /// Something else that a person has to put right.
    OtherConfiguration,
    /// The login host asks to try again.
    Transient,
}

impl SignInProblem {
    /// Returns what an answer of the login host means.
    ///
    /// | kind | AADSTS numbers |
    /// |---|---|
    /// | wrong secret | 7000215 and the older 70002; 7000218 (none sent) |
    /// | expired secret | 7000222 |
    /// | app not found | 700016, 700011, 70001; 7000112 (disabled) |
    /// | tenant not found | 90002, 900023, 50059, 50128, 90019; 90038, 900382, 900432 (another cloud) |
    /// | consent missing | 65001, 650056, 650057, 90093, 90094, 90095 |
    /// | conditional access | 53003, 530032, 530035, 50131, 500212, 500213 |
    /// | transient | 50000, 50033, 90006, 90012, 90024, 90033, 90055, 90090, 90091, 51005 |
    ///
    /// Other numbers fall back to the OAuth `error`, which Microsoft calls the stable part.
    pub fn of(aadsts: Option<u32>, error: &str) -> Self {
        aadsts
            .and_then(Self::of_number)
            .unwrap_or_else(|| Self::of_error(aadsts, error))
    }

    const fn of_number(number: u32) -> Option<Self> {
        Some(match number {
            7_000_215 | 70_002 | 7_000_218 => Self::WrongSecret,
            7_000_222 => Self::ExpiredSecret,
            700_016 | 700_011 | 70_001 | 7_000_112 => Self::AppNotFound,
            90_002 | 900_023 | 50_059 | 50_128 | 90_019 | 90_038 | 900_382 | 900_432 => {
                Self::TenantNotFound
            }
            65_001 | 650_056 | 650_057 | 90_093 | 90_094 | 90_095 => Self::ConsentMissing,
            53_003 | 530_032 | 530_035 | 50_131 | 500_212 | 500_213 => Self::ConditionalAccess,
            50_000 | 50_033 | 90_006 | 90_012 | 90_024 | 90_033 | 90_055 | 90_090 | 90_091
            | 51_005 => Self::Transient,
            _ => return None,
        })
    }

    fn of_error(aadsts: Option<u32>, error: &str) -> Self {
        match error.to_ascii_lowercase().as_str() {
            "temporarily_unavailable" | "server_error" => Self::Transient,
            "interaction_required" | "access_denied" => Self::ConditionalAccess,
            // With a number we do not know, the secret may be right and something else about the client wrong.
            "invalid_client" if aadsts.is_none() => Self::WrongSecret,
            _ => Self::OtherConfiguration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SignInProblem as Problem, *};

    #[test]
    fn known_numbers_have_their_kind() {
        let table = [
            (7_000_215, Problem::WrongSecret),
            (7_000_222, Problem::ExpiredSecret),
            (700_016, Problem::AppNotFound),
            (90_002, Problem::TenantNotFound),
            (900_023, Problem::TenantNotFound),
            (90_038, Problem::TenantNotFound),
            (65_001, Problem::ConsentMissing),
            (53_003, Problem::ConditionalAccess),
            (90_055, Problem::Transient),
            (700_025, Problem::OtherConfiguration),
            (700_027, Problem::OtherConfiguration),
        ];
        for (number, kind) in table {
            assert_eq!(
                SignInProblem::of(Some(number), "invalid_client"),
                kind,
                "AADSTS{number}"
            );
        }
    }

    #[test]
    fn without_a_number_the_oauth_error_decides() {
        assert_eq!(
            SignInProblem::of(None, "invalid_client"),
            Problem::WrongSecret
        );
        assert_eq!(
            SignInProblem::of(None, "temporarily_unavailable"),
            Problem::Transient
        );
        assert_eq!(
            SignInProblem::of(Some(1), "temporarily_unavailable"),
            Problem::Transient
        );
        assert_eq!(
            SignInProblem::of(None, "interaction_required"),
            Problem::ConditionalAccess
        );
        assert_eq!(
            SignInProblem::of(None, "invalid_scope"),
            Problem::OtherConfiguration
        );
        assert_eq!(SignInProblem::of(None, ""), Problem::OtherConfiguration);
    }
}

//! Checks that stand side by side: all that is wrong with an input is told at once.

use super::user_error::{Refusal, Stop};
use crate::error::Failure;

/// What is wrong so far.
pub(super) struct Faults<C> {
    refusals: Vec<Refusal<C>>,
    failure: Option<Failure>,
}

impl<C> Faults<C> {
    const fn new() -> Self {
        Self {
            refusals: Vec::new(),
            failure: None,
        }
    }

    /// Gives the value when nothing was wrong. A failure of ours hides what the caller did wrong: the rest was not looked
    /// at in earnest.
    fn settle<T>(self, value: Option<T>) -> Result<T, Stop<C>> {
        match (self.failure, value) {
            (Some(failure), _) => Err(Stop::Failed(failure)),
            (None, Some(value)) if self.refusals.is_empty() => Ok(value),
            (None, _) => Err(Stop::Refused(self.refusals)),
        }
    }
}

/// The outcome of one check.
pub(super) trait Check {
    type Code;
    type Value;

    /// Gives the value, or notes what is wrong.
    fn note(self, faults: &mut Faults<Self::Code>) -> Option<Self::Value>;
}

impl<T, C> Check for Result<T, Refusal<C>> {
    type Code = C;
    type Value = T;

    fn note(self, faults: &mut Faults<C>) -> Option<T> {
        self.map_err(|refusal| faults.refusals.push(refusal)).ok()
    }
}

impl<T, C> Check for Result<T, Stop<C>> {
    type Code = C;
    type Value = T;

    fn note(self, faults: &mut Faults<C>) -> Option<T> {
        match self {
            Ok(value) => Some(value),
            Err(Stop::Refused(refusals)) => {
                faults.refusals.extend(refusals);
                None
            }
            Err(Stop::Failed(failure)) => {
                faults.failure.get_or_insert(failure);
                None
            }
        }
    }
}

/// Checks of different values.
pub(super) trait Checks {
    type Code;
    type Values;

    fn all(self) -> Result<Self::Values, Stop<Self::Code>>;
}

macro_rules! checks_of_tuples {
    ($($first:ident $($check:ident)*;)+) => {$(
        impl<$first: Check, $($check: Check<Code = $first::Code>),*> Checks for ($first, $($check,)*) {
            type Code = $first::Code;
            type Values = ($first::Value, $($check::Value,)*);

            #[expect(non_snake_case, reason = "a value is called like its type")]
            fn all(self) -> Result<Self::Values, Stop<Self::Code>> {
                let ($first, $($check,)*) = self;
                let mut faults = Faults::new();
                let $first = $first.note(&mut faults);
                $(let $check = $check.note(&mut faults);)*
                let values = match ($first, $($check,)*) {
                    (Some($first), $(Some($check),)*) => Some(($first, $($check,)*)),
                    _ => None,
                };
                faults.settle(values)
            }
        }
    )+};
}

checks_of_tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

/// Gives the values of several checks, or everything that is wrong with them, in their order.
pub(super) fn together<K: Checks>(checks: K) -> Result<K::Values, Stop<K::Code>> {
    checks.all()
}

/// Gives the values of one check for each item of a list, or everything that is wrong with them.
pub(super) fn each<K: Check>(
    checks: impl IntoIterator<Item = K>,
) -> Result<Vec<K::Value>, Stop<K::Code>> {
    let mut faults = Faults::new();
    let mut values = Vec::new();
    for check in checks {
        values.extend(check.note(&mut faults));
    }
    faults.settle(Some(values))
}

#[cfg(test)]
mod tests {
    use super::super::user_error::refuse;
    use super::*;

    type Checked<T> = Result<T, Stop<u8>>;

    fn wrong(code: u8) -> Result<char, Refusal<u8>> {
        Err(refuse(code, "wrong"))
    }

    /// The values, or the codes of what is wrong; none for a failure.
    fn seen<T>(done: Checked<T>) -> Result<T, Option<Vec<u8>>> {
        done.map_err(|stop| match stop {
            Stop::Refused(refusals) => Some(refusals.iter().map(|refusal| refusal.code).collect()),
            Stop::Failed(_) => None,
        })
    }

    #[test]
    fn everything_that_is_wrong_is_told_in_order() {
        let well: Checked<_> = together((Ok::<_, Refusal<u8>>(1), Ok::<_, Stop<u8>>("a")));
        assert_eq!(seen(well), Ok((1, "a")));
        let inner: Checked<_> = together((wrong(2), wrong(3)));
        let outer: Checked<_> = together((wrong(1), Ok::<_, Refusal<u8>>(()), inner, wrong(4)));
        assert_eq!(seen(outer), Err(Some(vec![1, 2, 3, 4])));
        let list = each([wrong(5), Ok('b'), wrong(6)]);
        assert_eq!(seen(list), Err(Some(vec![5, 6])));
        assert_eq!(seen(each([Ok::<_, Refusal<u8>>('b')])), Ok(vec!['b']));
    }

    #[test]
    fn a_failure_of_ours_is_no_refusal() {
        let failed: Checked<()> = Err(Stop::Failed(Failure::Fault("down".to_owned())));
        assert_eq!(seen(together((wrong(1), failed))), Err(None));
    }
}

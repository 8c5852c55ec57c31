//! The payload of a wake-up: versioned JSON that holds one id and nothing else.

use lockstep_domain::{RunId, TestId};
use serde::{Deserialize, Serialize};

/// Version of the format that is written. A change of meaning gets the next number, and the version before it is
/// still read, because during an upgrade both stand in one queue.
const VERSION: u32 = 1;

/// What a wake-up says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Look at this run.
    Run(RunId),
    /// Look at this connection test.
    Test(TestId),
}

/// The bytes of a wake-up as they stand in the queue. They are opened by us and not by the backend: apalis takes
/// bytes that it cannot decode for an error of the connection, and ends the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter(pub(crate) Vec<u8>);

/// Why a letter cannot be understood. It does not repeat the bytes, which are not ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownLetter {
    /// Written by a newer version.
    #[error("version {0} of the format is not known here")]
    Version(u32),
    /// Not in the format at all.
    #[error("{0} bytes that are not a wake-up")]
    Shape(usize),
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_id: Option<TestId>,
}

impl From<Wake> for Letter {
    fn from(wake: Wake) -> Self {
        let (run_id, test_id) = match wake {
            Wake::Run(id) => (Some(id), None),
            Wake::Test(id) => (None, Some(id)),
        };
        let envelope = Envelope {
            v: VERSION,
            run_id,
            test_id,
        };
        Self(serde_json::to_vec(&envelope).expect("numbers and ids are always JSON"))
    }
}

impl Letter {
    /// Reads the letter.
    pub(crate) fn open(&self) -> Result<Wake, UnknownLetter> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let shape = |_| UnknownLetter::Shape(self.0.len());
        let Version { v } = serde_json::from_slice(&self.0).map_err(shape)?;
        if v != VERSION {
            return Err(UnknownLetter::Version(v));
        }
        match serde_json::from_slice(&self.0).map_err(shape)? {
            Envelope {
                run_id: Some(run),
                test_id: None,
                ..
            } => Ok(Wake::Run(run)),
            Envelope {
                run_id: None,
                test_id: Some(test),
                ..
            } => Ok(Wake::Test(test)),
            _ => Err(UnknownLetter::Shape(self.0.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_format_is_a_version_and_one_id() {
        let letter = Letter::from(Wake::Run(RunId(Uuid::nil())));
        assert_eq!(
            String::from_utf8(letter.0).unwrap(),
            r#"{"v":1,"run_id":"00000000-0000-0000-0000-000000000000"}"#
        );
    }

    #[test]
    fn what_was_written_is_read_again() {
        for wake in [
            Wake::Run(RunId(Uuid::new_v4())),
            Wake::Test(TestId(Uuid::new_v4())),
        ] {
            assert_eq!(Letter::from(wake).open(), Ok(wake));
        }
    }

    #[test]
    fn additions_of_the_same_version_are_passed_over() {
        let id = Uuid::new_v4();
        let letter = Letter(format!(r#"{{"v":1,"run_id":"{id}","hint":[1]}}"#).into_bytes());
        assert_eq!(letter.open(), Ok(Wake::Run(RunId(id))));
    }

    #[test]
    fn what_is_not_understood_is_named_and_not_guessed() {
        let open = |text: &str| Letter(text.as_bytes().to_vec()).open();
        assert_eq!(open(r#"{"v":2,"run":7}"#), Err(UnknownLetter::Version(2)));
        assert_eq!(open(r#"{"v":1}"#), Err(UnknownLetter::Shape(7)));
        assert_eq!(open("not JSON"), Err(UnknownLetter::Shape(8)));
        assert_eq!(open("\"7\""), Err(UnknownLetter::Shape(3)));
    }
}

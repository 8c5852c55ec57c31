//! Searches: every word that is searched begins a word of a key, see `lockstep_domain::search`.

use lockstep_domain::{OrganizationId, searched_words};
use sea_orm::sea_query::{Alias, BinOper, Expr, ExprTrait as _, LikeExpr};
use sea_orm::{ColumnTrait, Condition};

use crate::Store;
use crate::lookup::unweighed;
use crate::order::OrderBy;
use crate::page::Fit;

/// Name of the column that PostgreSQL keeps of a key's words, for its index.
const WORDS: &str = "search_words";

/// The columns that a list is searched and ordered by.
pub(crate) struct Searched<C> {
    /// The organization of a row.
    pub(crate) organization: C,
    /// The key of a row.
    pub(crate) key: C,
}

/// The rows of a list.
pub(crate) struct Listed {
    /// All of them, to be counted.
    pub(crate) all: Condition,
    /// All of them, to be walked in the order of the list.
    pub(crate) walked: Condition,
    /// Which indexes fit that.
    pub(crate) fit: Fit,
}

impl Store {
    /// Looks for rows of an organization, and for those that a search finds if there is one.
    ///
    /// PostgreSQL takes every index for as good in an organization that it has not counted, and would read all its rows.
    /// So searches and lists by name tell organizations apart by what fits one index alone, see the migration.
    pub(crate) fn rows_of<C: ColumnTrait>(
        &self,
        organization: OrganizationId,
        search: Option<&str>,
        order: OrderBy,
        columns: &Searched<C>,
    ) -> Listed {
        let all = columns.organization.eq(organization.0);
        let words = search.map(searched_words).unwrap_or_default();
        if self.is_sqlite() {
            let found = Condition::all()
                .add(all)
                .add(begin_words(&words, &[columns.key]));
            return Listed {
                all: found.clone(),
                walked: found,
                fit: Fit::Any,
            };
        }
        let no_index = unweighed(all.clone());
        let table = columns.organization.entity_name().to_string();
        let mark = mark(organization);
        if !words.is_empty() {
            let key = Expr::col((Alias::new(table), Alias::new(WORDS)));
            let found = key.binary(BinOper::Custom("@@"), lexemes(&mark, &words));
            let found = Condition::all().add(found).add(no_index);
            return Listed {
                all: found.clone(),
                walked: found,
                fit: Fit::Words,
            };
        }
        let by_mark = Expr::cust(format!(
            "right(\"{table}\".\"{}\"::text, 8)",
            columns.organization.as_str()
        ));
        let (walked, fit) = match order {
            OrderBy::Name => {
                let by_name = Condition::all().add(by_mark.eq(mark)).add(no_index);
                (by_name, Fit::Names)
            }
            OrderBy::Creation => (Condition::all().add(all.clone()), Fit::Any),
        };
        Listed {
            all: Condition::all().add(all),
            walked,
            fit,
        }
    }
}

/// What PostgreSQL knows an organization by in the indexes of names: the end of its id.
fn mark(organization: OrganizationId) -> String {
    let id = organization.0.hyphenated().to_string();
    id[id.len() - 8..].to_owned()
}

/// Whether each word begins a word of one of some keys.
pub(crate) fn begin_words<C: ColumnTrait>(words: &[String], keys: &[C]) -> Condition {
    // Constants of the statement, not values: the same in every search.
    let text = keys.iter().fold(Expr::cust("''"), |text, key| {
        text.binary(BinOper::Custom("||"), Expr::cust("' '"))
            .binary(BinOper::Custom("||"), Expr::col(key.as_column_ref()))
    });
    let like = |word: &String| {
        let pattern = format!("% {}%", literally(word));
        text.clone().like(LikeExpr::new(pattern).escape('\\'))
    };
    words
        .iter()
        .map(like)
        .fold(Condition::all(), Condition::add)
}

/// A text as LIKE has to read it: `\` escapes what would be a wildcard.
fn literally(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

/// The query of PostgreSQL for rows that have a word for each of these.
fn lexemes(mark: &str, words: &[String]) -> Expr {
    // A key has no apostrophes, so nothing in a word ends the quotes.
    let quoted = |word: &String| format!("'{mark}:{}':*", word.replace('\\', "\\\\"));
    let all: Vec<String> = words.iter().map(quoted).collect();
    Expr::val(all.join(" & "))
        .cast_as("text")
        .cast_as("tsquery")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_searched_as_they_are() {
        assert_eq!(literally(r"50%_a\b"), r"50\%\_a\\b");
    }
}

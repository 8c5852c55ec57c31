//! Counts what a document asks for before anything walks it.
//!
//! async-graphql compares its limits only after it has walked a document several times, every fragment written out, and
//! cannot be stopped meanwhile. So how much there is to walk must be known before. Here each fragment is counted once
//! and its count remembered, so the time is linear in the size of the text.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, ServerError, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, Selection,
        SelectionSet,
    },
};

use super::{error::ErrorCode, options::TransportOptions, weight::Weights};

/// Fields below one another under `__schema` or `__type`. The introspection query of graphql 16 has 14.
const MAX_INTROSPECTION_DEPTH: usize = 20;
/// Selections under `__schema` and `__type`. The introspection query of graphql 16 has fewer than 250.
const MAX_INTROSPECTION_SELECTIONS: usize = 600;
/// Lists of types or fields inside one another. The introspection query has 1.
const MAX_INTROSPECTION_LISTS: usize = 2;
/// Fragments spread inside one another, which bounds the recursion of this module and of async-graphql.
const MAX_FRAGMENT_CHAIN: usize = 32;
/// What all definitions together may have for each selection of an operation: validation also looks at each fragment
/// by itself.
const DEFINITIONS_FACTOR: usize = 5;

/// How much a document may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) document_bytes: usize,
    pub(super) expanded_selections: usize,
    pub(super) aliases: usize,
    pub(super) root_fields: usize,
    pub(super) directives: usize,
    pub(super) argument_bytes: usize,
    pub(super) depth: usize,
}

impl Limits {
    pub(super) fn of(options: &TransportOptions) -> Self {
        Self {
            document_bytes: options.max_document_bytes,
            expanded_selections: options.max_expanded_selections,
            aliases: options.max_aliases,
            root_fields: options.max_root_fields,
            directives: options.max_directives,
            argument_bytes: options.max_argument_bytes,
            depth: options.max_depth,
        }
    }
}

/// What a part of a document asks for, every spread written out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measure {
    selections: usize,
    aliases: usize,
    directives: usize,
    /// What all arguments weigh, with the values of variables filled in.
    argument_bytes: usize,
    depth: usize,
    /// Fields of the part itself, without those below them.
    own_fields: usize,
    /// `fields`, `interfaces` and the like inside one another, wherever they are.
    type_lists: usize,
    introspection_selections: usize,
    introspection_depth: usize,
    introspection_lists: usize,
}

impl Measure {
    /// Whether the document asks for the schema.
    pub(super) fn introspects(&self) -> bool {
        self.introspection_selections > 0
    }

    /// Puts `other` beside what is there. Saturates, because what is written out may be more than any
    /// integer holds.
    fn beside(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.argument_bytes = self.argument_bytes.saturating_add(other.argument_bytes);
        self.depth = self.depth.max(other.depth);
        self.own_fields = self.own_fields.saturating_add(other.own_fields);
        self.type_lists = self.type_lists.max(other.type_lists);
        self.introspection_selections = self
            .introspection_selections
            .saturating_add(other.introspection_selections);
        self.introspection_depth = self.introspection_depth.max(other.introspection_depth);
        self.introspection_lists = self.introspection_lists.max(other.introspection_lists);
    }

    /// Returns the measure of a field that has `self` below it.
    fn under(self, field: &Field) -> Self {
        let name = field.name.node.as_str();
        let mut measure = Self {
            selections: self.selections.saturating_add(1),
            aliases: self
                .aliases
                .saturating_add(usize::from(field.alias.is_some())),
            depth: self.depth.saturating_add(1),
            own_fields: 1,
            type_lists: self.type_lists + usize::from(is_type_list(name)),
            ..self
        };
        if matches!(name, "__schema" | "__type") {
            measure.introspection_selections = measure.selections;
            measure.introspection_depth = self.depth;
            measure.introspection_lists = self.type_lists;
            measure.depth = 1;
        }
        measure
    }
}

// Those that graphql-js counts in MaxIntrospectionDepthRule.
fn is_type_list(name: &str) -> bool {
    matches!(
        name,
        "fields" | "interfaces" | "possibleTypes" | "inputFields"
    )
}

/// Refuses a document that is too long to be parsed.
pub(super) fn check_size(document: &str, limits: &Limits) -> Result<(), ServerError> {
    if document.len() <= limits.document_bytes {
        return Ok(());
    }
    let (length, limit) = (document.len(), limits.document_bytes);
    Err(cost(format!(
        "The document has {length} bytes, and at most {limit} are allowed."
    )))
}

/// Measures a document and refuses it when it asks for too much.
pub(super) fn check(
    document: &ExecutableDocument,
    variables: &Variables,
    limits: &Limits,
) -> Result<Measure, ServerError> {
    let mut counter = Counter {
        document,
        weights: Weights::new(document, variables),
        known: HashMap::new(),
        open: Vec::new(),
    };
    let mut operations = Measure::default();
    for (_, operation) in document.operations.iter() {
        let measure = counter.operation(&operation.node)?;
        check_one(&measure, limits)?;
        operations.beside(measure);
    }
    check_total(&operations, limits)?;
    let mut everything = operations;
    for name in document.fragments.keys() {
        everything.beside(counter.fragment(name)?);
    }
    check_definitions(&everything, limits)?;
    Ok(operations)
}

/// Compares what only one operation of the document can spend.
fn check_one(measure: &Measure, limits: &Limits) -> Result<(), ServerError> {
    within(measure.own_fields, limits.root_fields, "root fields")?;
    if measure.depth > limits.depth {
        return Err(too_deep("fields", measure.depth, limits.depth));
    }
    if measure.introspection_depth > MAX_INTROSPECTION_DEPTH {
        let (depth, limit) = (measure.introspection_depth, MAX_INTROSPECTION_DEPTH);
        return Err(too_deep("fields of the schema", depth, limit));
    }
    if measure.introspection_lists > MAX_INTROSPECTION_LISTS {
        let (depth, limit) = (measure.introspection_lists, MAX_INTROSPECTION_LISTS);
        return Err(too_deep("lists of the schema", depth, limit));
    }
    Ok(())
}

/// Compares what validation walks for all operations together, whichever is run.
fn check_total(measure: &Measure, limits: &Limits) -> Result<(), ServerError> {
    within(measure.selections, limits.expanded_selections, "selections")?;
    within(measure.aliases, limits.aliases, "aliases")?;
    within(measure.directives, limits.directives, "directives")?;
    within(
        measure.argument_bytes,
        limits.argument_bytes,
        "bytes of arguments and variables",
    )?;
    let introspection = measure.introspection_selections;
    within(
        introspection,
        MAX_INTROSPECTION_SELECTIONS,
        "selections of the schema",
    )
}

/// Compares what validation walks for each definition by itself.
fn check_definitions(measure: &Measure, limits: &Limits) -> Result<(), ServerError> {
    let limit = |limit: usize| limit.saturating_mul(DEFINITIONS_FACTOR);
    let (selections, bytes) = (limits.expanded_selections, limits.argument_bytes);
    within(
        measure.selections,
        limit(selections),
        "selections in all definitions",
    )?;
    within(
        measure.argument_bytes,
        limit(bytes),
        "bytes of arguments and variables in all definitions",
    )
}

fn within(count: usize, limit: usize, what: &str) -> Result<(), ServerError> {
    if count <= limit {
        return Ok(());
    }
    let shown = match count {
        usize::MAX => "too many to be counted".to_owned(),
        count => count.to_string(),
    };
    Err(cost(format!(
        "The document costs too much: {what}, with every fragment written out: {shown}; the limit is {limit}."
    )))
}

fn cost(message: String) -> ServerError {
    ErrorCode::CostLimitExceeded.error(message)
}

fn too_deep(what: &str, depth: usize, limit: usize) -> ServerError {
    let message = format!(
        "The document is nested too deeply: {what} below one another: {depth}; the limit is {limit}."
    );
    ErrorCode::DepthLimitExceeded.error(message)
}

/// Counts a document with memory for each fragment.
struct Counter<'a> {
    document: &'a ExecutableDocument,
    weights: Weights<'a>,
    known: HashMap<&'a str, Measure>,
    /// The fragments that are being counted, outermost first.
    open: Vec<&'a str>,
}

impl<'a> Counter<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Measure, ServerError> {
        let mut measure = self.selection_set(&operation.selection_set.node)?;
        self.directives(&mut measure, &operation.directives);
        for definition in &operation.variable_definitions {
            self.directives(&mut measure, &definition.node.directives);
        }
        Ok(measure)
    }

    fn field(&mut self, field: &'a Field) -> Result<Measure, ServerError> {
        let mut measure = self.selection_set(&field.selection_set.node)?.under(field);
        let bytes = self.weights.arguments(&field.arguments);
        measure.argument_bytes = measure.argument_bytes.saturating_add(bytes);
        self.directives(&mut measure, &field.directives);
        Ok(measure)
    }

    /// Adds directives with their arguments.
    fn directives(&self, measure: &mut Measure, directives: &[Positioned<Directive>]) {
        let bytes = self.weights.directives(directives);
        measure.directives = measure.directives.saturating_add(directives.len());
        measure.argument_bytes = measure.argument_bytes.saturating_add(bytes);
    }

    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Measure, ServerError> {
        let mut measure = Measure::default();
        for selection in &set.items {
            measure.beside(self.selection(&selection.node)?);
        }
        Ok(measure)
    }

    fn selection(&mut self, selection: &'a Selection) -> Result<Measure, ServerError> {
        let mut measure = match selection {
            Selection::Field(field) => return self.field(&field.node),
            Selection::InlineFragment(inline) => {
                self.selection_set(&inline.node.selection_set.node)?
            }
            Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node)?,
        };
        measure.selections = measure.selections.saturating_add(1);
        self.directives(&mut measure, selection.directives());
        Ok(measure)
    }

    fn fragment(&mut self, name: &'a Name) -> Result<Measure, ServerError> {
        let name = name.as_str();
        if let Some(measure) = self.known.get(name) {
            return Ok(*measure);
        }
        // A fragment that does not exist counts nothing: validation names it better.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Measure::default());
        };
        self.enter(name, fragment)?;
        let mut measure = self.selection_set(&fragment.node.selection_set.node)?;
        self.directives(&mut measure, &fragment.node.directives);
        self.open.pop();
        self.known.insert(name, measure);
        Ok(measure)
    }

    fn enter(
        &mut self,
        name: &'a str,
        fragment: &Positioned<FragmentDefinition>,
    ) -> Result<(), ServerError> {
        if self.open.contains(&name) {
            let message = format!("The fragment \"{name}\" spreads itself.");
            let mut error = ErrorCode::GraphqlValidationFailed.error(message);
            error.locations = vec![fragment.pos];
            return Err(error);
        }
        if self.open.len() >= MAX_FRAGMENT_CHAIN {
            let message =
                format!("More than {MAX_FRAGMENT_CHAIN} fragments spread inside one another.");
            return Err(ErrorCode::DepthLimitExceeded.error(message));
        }
        self.open.push(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::{
        super::{error::code_of, toy},
        *,
    };

    /// Small ones, so that what passes them is small as well: every document here is one that the engine bears.
    fn limits() -> Limits {
        Limits {
            expanded_selections: 30,
            ..Limits::of(&TransportOptions::default())
        }
    }

    fn verdict(document: &str) -> Result<Measure, ServerError> {
        weighed(document, json!({}), &limits())
    }

    fn weighed(document: &str, variables: Json, limits: &Limits) -> Result<Measure, ServerError> {
        let document = parse_query(document).expect("a document of a test");
        check(&document, &Variables::from_json(variables), limits)
    }

    fn refused(document: &str) -> String {
        let error = verdict(document).expect_err("a document beyond the limits");
        code_of(&error).unwrap_or_default().to_owned()
    }

    fn measured(document: &str) -> Measure {
        verdict(document).expect("a document within the limits")
    }

    /// A fragment of six fields that is spread five times: 39 selections.
    const COSTLY: &str =
        "{ ...F a: node { ...F } b: node { ...F } c: node { ...F } d: node { ...F } }
        fragment F on Query { hello signedIn hello hello hello hello }";

    #[test]
    fn fields_aliases_and_directives_are_counted() {
        let measure = measured("{ x: a { b @skip(if: true) } c }");
        assert_eq!(
            (measure.selections, measure.aliases, measure.directives),
            (3, 1, 1)
        );
        assert_eq!((measure.depth, measure.own_fields), (2, 2));
    }

    #[test]
    fn fragment_counts_each_time_it_is_spread() {
        let measure = measured("{ a { ...F } b { ...F } } fragment F on T { x y }");
        // a, b, two spreads, and x and y twice.
        assert_eq!(measure.selections, 8);
    }

    #[test]
    fn fragments_are_refused_for_what_they_come_to_and_the_error_says_how_much() {
        let error = verdict(COSTLY).expect_err("a document beyond the limits");
        assert_eq!(code_of(&error), Some("COST_LIMIT_EXCEEDED"));
        assert!(
            error.message.contains("39") && error.message.contains("the limit is 30"),
            "{}",
            error.message
        );
    }

    #[tokio::test]
    async fn what_is_refused_here_for_its_cost_is_nothing_to_the_engine() {
        let document = COSTLY.replace("on Query", "on Node").replace(
            "hello signedIn hello hello hello hello",
            "name name name name name name",
        );
        let document = document.replacen("...F", "e: node { ...F }", 1);
        assert_eq!(refused(&document), "COST_LIMIT_EXCEEDED");
        let response = toy::schema().execute(document).await;
        assert!(response.is_ok(), "{:?}", response.errors);
    }

    #[test]
    fn value_of_a_variable_counts_at_each_mention_wherever_it_is() {
        // A text of 68 bytes weighs 100.
        let text = "x".repeat(68);
        let sent = json!({ "v": text });
        let cases = [
            ("query($v: T) { a(x: $v) }", 100),
            ("query($v: T) { a(x: $v, y: [$v, { z: $v }]) }", 364),
            ("query($v: T) { a @d(x: $v) ... @d(x: $v) { b } }", 200),
            ("query($v: T) @d(x: $v) { a }", 100),
            ("query($v: T, $w: T @d(x: $v)) { a }", 100),
            (
                "query($v: T) { a { ...F } b { ...F } } fragment F on T @d(x: $v) { c(x: $v) }",
                400,
            ),
            (
                "query A($v: T) { a(x: $v) } query B($v: T) { b(x: $v) }",
                200,
            ),
        ];
        for (document, bytes) in cases {
            let measure = weighed(document, sent.clone(), &limits()).expect("a small document");
            assert_eq!(measure.argument_bytes, bytes, "{document}");
        }
        for (document, bytes) in [
            (
                "{ a { ...F } b { ...F } } fragment F on T { c(x: [\"abcd\", 1]) }",
                200,
            ),
            ("query($v: T = \"abcd\") { a(x: $v) }", 36),
            ("{ a(x: $unknown) }", 32),
        ] {
            assert_eq!(measured(document).argument_bytes, bytes, "{document}");
        }
    }

    #[test]
    fn variables_are_refused_for_what_their_mentions_come_to_and_the_error_says_how_much() {
        let limits = Limits {
            argument_bytes: 500,
            ..limits()
        };
        let told = |document: &str| {
            let sent = json!({ "v": "x".repeat(68) });
            let error = weighed(document, sent, &limits).expect_err("more than the limit");
            assert_eq!(code_of(&error), Some("COST_LIMIT_EXCEEDED"));
            error.message
        };
        let often =
            told("query($v: T) { a(x: [$v, $v]) ...F ...F } fragment F on T { b(x: [$v, $v]) }");
        assert!(
            often.contains("variables") && often.contains("696; the limit is 500"),
            "{often}"
        );
        let unused: String = (0..26)
            .map(|n| format!(" fragment F{n} on T {{ a(x: $v) }}"))
            .collect();
        let unused = told(&format!("query($v: T) {{ a }} {unused}"));
        assert!(unused.contains("2600; the limit is 2500"), "{unused}");
    }

    #[test]
    fn fragments_that_nothing_spreads_are_counted_too() {
        let fields = "a ".repeat(30);
        let unused: String = (0..6)
            .map(|n| format!(" fragment F{n} on Q {{ {fields} }}"))
            .collect();
        assert_eq!(refused(&format!("{{ a }} {unused}")), "COST_LIMIT_EXCEEDED");
    }

    #[test]
    fn long_chain_of_fragments_is_refused() {
        let chain: String = (0..=MAX_FRAGMENT_CHAIN)
            .map(|n| format!(" fragment F{n} on Q {{ ...F{} }}", n + 1))
            .collect();
        let document = format!(
            "{{ ...F0 }} {chain} fragment F{} on Q {{ a }}",
            MAX_FRAGMENT_CHAIN + 1
        );
        assert_eq!(refused(&document), "DEPTH_LIMIT_EXCEEDED");
    }

    #[test]
    fn fragment_that_spreads_itself_is_refused() {
        let cycle = "{ ...A } fragment A on Q { ...B } fragment B on Q { ...A }";
        assert_eq!(refused(cycle), "GRAPHQL_VALIDATION_FAILED");
    }

    #[test]
    fn depth_goes_through_fragments_and_the_error_says_how_deep() {
        let document = format!(
            "{{ a {{ ...F }} }} fragment F on T {}b{}",
            "{ b ".repeat(15),
            "}".repeat(15)
        );
        let error = verdict(&document).expect_err("a document beyond the limits");
        assert_eq!(code_of(&error), Some("DEPTH_LIMIT_EXCEEDED"));
        assert!(
            error.message.contains("16; the limit is 15"),
            "{}",
            error.message
        );
    }

    #[test]
    fn root_fields_are_counted_through_fragments() {
        let fields: String = (0..21).map(|n| format!("f{n} ")).collect();
        let document = format!("{{ ...F }} fragment F on Q {{ {fields} }}");
        assert_eq!(refused(&document), "COST_LIMIT_EXCEEDED");
    }

    #[test]
    fn introspection_query_of_graphql_16_passes() {
        let document = parse_query(include_str!("testdata/introspection.graphql"))
            .expect("a document of a test");
        let limits = Limits::of(&TransportOptions::default());
        let measure =
            check(&document, &Variables::default(), &limits).expect("a document within the limits");
        assert!(measure.introspects());
        assert_eq!(measure.depth, 1);
        assert_eq!(
            (measure.introspection_depth, measure.introspection_lists),
            (14, 1)
        );
    }

    #[test]
    fn introspection_with_lists_inside_lists_is_refused() {
        let deep =
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
        assert_eq!(refused(deep), "DEPTH_LIMIT_EXCEEDED");
    }

    #[test]
    fn introspection_is_seen_inside_a_fragment() {
        assert!(
            measured("{ ...F } fragment F on Query { __type(name: \"A\") { name } }").introspects()
        );
        assert!(!measured("{ __typename }").introspects());
    }
}

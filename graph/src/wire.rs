//! Lenient reading: what is not of its type counts as absent, what is too long is cut.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{Field, Removed, text};

/// Text of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) cut: bool,
}

/// A type that can be read from some JSON shapes; all others make its field absent.
pub(crate) trait Lenient: Sized {
    /// Returns what any other shape than the expected counts as.
    fn odd() -> Option<Self> {
        None
    }

    fn from_text(_: String) -> Option<Self> {
        Self::odd()
    }

    fn from_flag(_: bool) -> Option<Self> {
        Self::odd()
    }

    fn from_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::odd())
    }

    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::odd())
    }
}

impl Lenient for Text {
    fn from_text(mut value: String) -> Option<Self> {
        let cut = text::cut(&mut value, text::LONGEST_TEXT);
        Some(Self { value, cut })
    }
}

impl Lenient for bool {
    fn from_flag(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl Lenient for Vec<Text> {
    fn from_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut texts = Self::new();
        while let Some(Loose(field)) = seq.next_element()? {
            texts.extend(field.into_value());
        }
        Ok(Some(texts))
    }
}

/// Any mark of removal removes, whatever it looks like.
impl Lenient for Removed {
    fn odd() -> Option<Self> {
        Some(Self::Other(String::new()))
    }

    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        #[derive(Deserialize)]
        struct Mark {
            #[serde(default, deserialize_with = "loose")]
            reason: Field<Text>,
        }
        let mark = Mark::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Some(Self::of(
            mark.reason
                .into_value()
                .map_or_else(String::new, |reason| reason.value),
        )))
    }
}

/// A related object: its id, its type, and whether the relation has ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Link {
    #[serde(deserialize_with = "id")]
    pub(crate) id: String,
    #[serde(rename = "@odata.type", default, deserialize_with = "loose")]
    pub(crate) kind: Field<Text>,
    #[serde(rename = "@removed", default, deserialize_with = "loose")]
    pub(crate) removed: Field<Removed>,
}

impl Link {
    pub(crate) const fn is_removed(&self) -> bool {
        self.removed.value().is_some()
    }
}

/// A link without an id fails the page: a membership must not get lost quietly.
impl Lenient for Vec<Link> {
    fn from_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut links = Self::new();
        while let Some(link) = seq.next_element()? {
            links.push(link);
        }
        Ok(Some(links))
    }
}

/// An expanded object, of which only the id matters; none when it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expanded {
    pub(crate) id: Option<String>,
}

impl Lenient for Expanded {
    fn odd() -> Option<Self> {
        Some(Self::default())
    }

    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        #[derive(Deserialize)]
        struct Object {
            #[serde(default, deserialize_with = "loose")]
            id: Field<Text>,
        }
        let object = Object::deserialize(MapAccessDeserializer::new(map))?;
        let id = object
            .id
            .into_value()
            .filter(|id| !id.cut && !id.value.is_empty());
        Ok(Some(Self {
            id: id.map(|id| id.value),
        }))
    }
}

/// Reads the id of an object: opaque, but there.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.is_empty() || id.len() > text::LONGEST_TEXT {
        return Err(D::Error::custom("an object without a usable id"));
    }
    Ok(id)
}

/// Reads a property of which nothing is certain.
pub(crate) fn loose<'de, D: Deserializer<'de>, T: Lenient>(
    deserializer: D,
) -> Result<Field<T>, D::Error> {
    deserializer.deserialize_any(LooseVisitor(PhantomData))
}

struct Loose(Field<Text>);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        loose(deserializer).map(Self)
    }
}

struct LooseVisitor<T>(PhantomData<T>);

fn field<T>(value: Option<T>) -> Field<T> {
    value.map_or(Field::Absent, Field::Value)
}

impl<'de, T: Lenient> Visitor<'de> for LooseVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Field::Null)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(field(T::from_text(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(field(T::from_text(text)))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(field(T::from_flag(flag)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(field(T::odd()))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(field(T::odd()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(field(T::odd()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        T::from_seq(seq).map(field)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::from_map(map).map(field)
    }
}

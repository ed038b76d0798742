//! Typed rows over columns: the `facts!` and `texts!` macros and the traits they implement.

use crate::{PolicyError, abi::Batch};

/// A row of facts, each in its unit. Declared with [`facts!`](crate::facts); `()` reads nothing.
pub trait Facts: Sized {
    /// Names of the facts, in the order of the columns.
    const NAMES: &'static [&'static str];
    /// The columns of a batch, each cut to exactly the batch's number of rows.
    type Columns<'a>;

    /// Takes the columns of a batch apart.
    ///
    /// # Errors
    /// If the batch has another number of columns, or a column is too short.
    fn columns(batch: &Batch) -> Result<Self::Columns<'_>, PolicyError>;

    /// Row `index`, if there is one.
    fn row(columns: &Self::Columns<'_>, index: usize) -> Option<Self>;

    /// A row from one number a fact, in the order of [`Facts::NAMES`].
    ///
    /// # Errors
    /// If there are more or fewer numbers than facts.
    fn from_values(values: &[i64]) -> Result<Self, PolicyError>;
}

/// The text facts of a registration. Declared with [`texts!`](crate::texts); `()` reads none.
pub trait Texts: Sized {
    /// Names of the texts, in the order they are given.
    const NAMES: &'static [&'static str];

    /// The texts in the order of [`Texts::NAMES`].
    ///
    /// # Errors
    /// If there are more or fewer than were asked for.
    fn from_values(values: Vec<Option<String>>) -> Result<Self, PolicyError>;
}

impl Facts for () {
    const NAMES: &'static [&'static str] = &[];
    type Columns<'a> = ();

    fn columns(_: &Batch) -> Result<(), PolicyError> {
        Ok(())
    }

    fn row((): &(), _: usize) -> Option<()> {
        Some(())
    }

    fn from_values(_: &[i64]) -> Result<(), PolicyError> {
        Ok(())
    }
}

impl Texts for () {
    const NAMES: &'static [&'static str] = &[];

    fn from_values(_: Vec<Option<String>>) -> Result<(), PolicyError> {
        Ok(())
    }
}

/// The fault of a batch that is not what `describe` asked for; kept out of line, since hosts do not do that.
#[doc(hidden)]
#[cold]
#[must_use]
pub fn wrong_shape(what: &str) -> PolicyError {
    PolicyError::new(PolicyError::SHAPE, format!("{what} are not as described"))
}

/// Declares a row: a struct whose fields are facts of the catalogue, each in its unit.
///
/// ```
/// use lucid_policy_sdk::{Facts, Ppm, Seconds, facts};
///
/// facts! {
///     /// What this policy reads of a node.
///     pub struct Node {
///         /// Credited seconds.
///         observed: Seconds = "observed-s",
///         uptime: Ppm = "uptime-ppm",
///     }
/// }
///
/// assert_eq!(Node::NAMES, ["observed-s", "uptime-ppm"]);
/// let node = Node::from_values(&[3_600, 1_000_000])?;
/// assert_eq!(node.uptime, Ppm::ONE);
/// # Ok::<(), lucid_policy_sdk::PolicyError>(())
/// ```
#[macro_export]
macro_rules! facts {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $row:ident {
            $( $(#[$field_attribute:meta])* $field:ident: $unit:ty = $fact:literal ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $visibility struct $row {
            $( $(#[$field_attribute])* pub $field: $unit, )+
        }

        impl $crate::Facts for $row {
            const NAMES: &'static [&'static str] = &[$($fact),+];
            type Columns<'a> = [&'a [i64]; [$($fact),+].len()];

            #[inline(always)]
            fn columns(
                batch: &$crate::abi::Batch,
            ) -> ::core::result::Result<Self::Columns<'_>, $crate::PolicyError> {
                // Cutting every column to the same length, one after the other, is what lets the compiler drop the bounds
                // checks of `row`.
                let count = batch.count as usize;
                let [$($field),+] = batch.columns.as_slice() else {
                    return ::core::result::Result::Err($crate::wrong_shape("columns"));
                };
                $(
                    let ::core::option::Option::Some($field) = $field.get(..count) else {
                        return ::core::result::Result::Err($crate::wrong_shape("column lengths"));
                    };
                )+
                ::core::result::Result::Ok([$($field),+])
            }

            #[inline(always)]
            fn row(columns: &Self::Columns<'_>, index: usize) -> ::core::option::Option<Self> {
                let [$($field),+] = columns;
                ::core::option::Option::Some(Self {
                    $( $field: <$unit as $crate::Unit>::from_raw(*$field.get(index)?), )+
                })
            }

            fn from_values(values: &[i64]) -> ::core::result::Result<Self, $crate::PolicyError> {
                let [$($field),+] = values else {
                    return ::core::result::Result::Err($crate::wrong_shape("totals or facts"));
                };
                ::core::result::Result::Ok(Self { $( $field: <$unit as $crate::Unit>::from_raw(*$field), )+ })
            }
        }
    };
}

/// Declares the text facts a validation policy reads of a registration; a text that was not sent is `None`.
///
/// ```
/// use lucid_policy_sdk::{Texts, texts};
///
/// texts! {
///     pub struct Words {
///         wallet_address = "wallet-address",
///     }
/// }
///
/// let words = Words::from_values(vec![None])?;
/// assert_eq!(words.wallet_address, None);
/// # Ok::<(), lucid_policy_sdk::PolicyError>(())
/// ```
#[macro_export]
macro_rules! texts {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $texts:ident {
            $( $(#[$field_attribute:meta])* $field:ident = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        $visibility struct $texts {
            $( $(#[$field_attribute])* pub $field: ::core::option::Option<::std::string::String>, )+
        }

        impl $crate::Texts for $texts {
            const NAMES: &'static [&'static str] = &[$($text),+];

            fn from_values(
                values: ::std::vec::Vec<::core::option::Option<::std::string::String>>,
            ) -> ::core::result::Result<Self, $crate::PolicyError> {
                let ::core::result::Result::Ok([$($field),+]) =
                    <[::core::option::Option<::std::string::String>; [$($text),+].len()]>::try_from(values)
                else {
                    return ::core::result::Result::Err($crate::wrong_shape("texts"));
                };
                ::core::result::Result::Ok(Self { $($field),+ })
            }
        }
    };
}

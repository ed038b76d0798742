//! What an operator may set: the `params!` macro and its trait.

use crate::{PolicyError, abi::ParamSpec};

/// The params of a policy. Declared with [`params!`](crate::params); `()` has none.
pub trait Params: Sized {
    /// What the host is told of them.
    const SPECS: &'static [ParamSpec];

    /// The params in the order of [`Params::SPECS`].
    ///
    /// # Errors
    /// If there are more or fewer than were described.
    fn from_values(values: &[i64]) -> Result<Self, PolicyError>;
}

impl Params for () {
    const SPECS: &'static [ParamSpec] = &[];

    fn from_values(_: &[i64]) -> Result<(), PolicyError> {
        Ok(())
    }
}

/// Declares the params: name, unit, default, range; the doc comment becomes the operator's sentence.
///
/// Params may come from anyone who may activate a policy. The host holds each to its range; what they must
/// satisfy together (weights that sum to one, say) a policy checks in its `check`.
///
/// ```
/// use lucid_policy_sdk::{Params, Ppm, params};
///
/// params! {
///     pub struct Settings {
///         /// Uptime below which a node earns nothing.
///         uptime_min: Ppm = "uptime-min", default 500_000, in 0..=1_000_000;
///     }
/// }
///
/// assert_eq!(Settings::default().uptime_min, Ppm::new(500_000));
/// let spec = Settings::SPECS[0];
/// assert_eq!((spec.name, spec.unit, spec.max), ("uptime-min", "ppm", 1_000_000));
/// assert_eq!(spec.doc, "Uptime below which a node earns nothing.");
/// ```
///
/// A default outside its range does not compile:
///
/// ```compile_fail
/// # use lucid_policy_sdk::{Ppm, params};
/// params! {
///     pub struct Settings {
///         /// Too much.
///         share: Ppm = "share", default 2_000_000, in 0..=1_000_000;
///     }
/// }
/// ```
#[macro_export]
macro_rules! params {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $params:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $unit:ty = $name:literal, default $default:literal, in $min:literal..=$max:literal;
            )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility struct $params {
            $( $(#[doc = $doc])+ pub $field: $unit, )+
        }

        impl ::core::default::Default for $params {
            fn default() -> Self {
                Self { $( $field: <$unit as $crate::Unit>::from_raw($default), )+ }
            }
        }

        impl $crate::Params for $params {
            const SPECS: &'static [$crate::abi::ParamSpec] = &[$(
                {
                    let (min, default, max): (i64, i64, i64) = ($min, $default, $max);
                    ::core::assert!(min <= default && default <= max, "a default must lie in its range");
                    $crate::abi::ParamSpec {
                        name: $name,
                        unit: <$unit as $crate::Unit>::NAME,
                        default,
                        min,
                        max,
                        doc: ::core::concat!($($doc),+).trim_ascii(),
                    }
                }
            ),+];

            fn from_values(values: &[i64]) -> ::core::result::Result<Self, $crate::PolicyError> {
                let [$($field),+] = values else {
                    return ::core::result::Result::Err($crate::wrong_shape("params"));
                };
                ::core::result::Result::Ok(Self { $( $field: <$unit as $crate::Unit>::from_raw(*$field), )+ })
            }
        }

        // Forces the range checks above even where nothing reads the specs.
        const _: &[$crate::abi::ParamSpec] = <$params as $crate::Params>::SPECS;
    };
}

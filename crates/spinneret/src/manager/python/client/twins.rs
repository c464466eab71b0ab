//! Methods that come in two: one that blocks the thread, and its async twin.

/// Writes both of each method, given the async one. The blocking one has the documentation.
macro_rules! twins {
    ($(
        $(#[$meta:meta])*
        $name:ident / $twin:ident
            $([$($generics:tt)+])?
            ($this:ident $(, $arg:ident: $type:ty)*) -> $output:ty
        $body:block
    )*) => {$(
        $(#[$meta])*
        #[allow(clippy::len_without_is_empty, reason = "either may fail, and both may be old news")]
        pub fn $name $(<$($generics)+>)? (
            &$this $(, $arg: $type)*
        ) -> Result<$output, $crate::manager::ManagerError> {
            $crate::manager::runtime::block_on($this.$twin($($arg),*))
        }

        #[doc = concat!("Async twin of [`", stringify!($name), "`](Self::", stringify!($name), ").")]
        pub async fn $twin $(<$($generics)+>)? (
            &$this $(, $arg: $type)*
        ) -> Result<$output, $crate::manager::ManagerError> $body
    )*};
}

pub(super) use twins;

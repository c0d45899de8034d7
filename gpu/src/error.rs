//! What can go wrong when a device is opened. What goes wrong later is a
//! [`plies_tensor::Error::Device`], where the host reads a value.

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter is what was asked for.
    #[error(
        "no GPU {wanted}; {}. Choose one by a part of its name or by its number (PLIES_GPU does it \
         from outside), or use the CPU",
        listed(found)
    )]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// Numbers and names of what there is.
        found: Vec<String>,
    },
    /// The driver refused.
    #[error("{adapter}: {reason}")]
    Refused {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
}

fn listed(found: &[String]) -> String {
    if found.is_empty() {
        return String::from(
            "the system's drivers offer no adapter at all (on Debian, `apt-get install \
             mesa-vulkan-drivers` has drivers for AMD and Intel, and one in software)",
        );
    }
    format!("there is {}", found.join(", "))
}

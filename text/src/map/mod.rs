//! Vectors on a plane: principal components, and t-SNE.
//!
//! Both take rows of numbers, of words or of anything else. [`pca`] is a projection, the one that keeps most of the
//! variance: distances on the plane are honest, but much lies in the axes that are not shown. [`Tsne`] keeps who is
//! near whom; sizes of groups and distances between them mean nothing.

mod pca;
mod quadtree;
mod tsne;

pub use pca::{Components, pca};
pub use tsne::{Embedding, Step, Tsne};

//! plies-text

//! plies-nn

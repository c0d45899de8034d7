//! plies-tensor

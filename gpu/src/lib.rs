//! plies-gpu

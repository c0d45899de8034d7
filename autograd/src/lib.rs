//! plies-autograd

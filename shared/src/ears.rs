//! EARS.

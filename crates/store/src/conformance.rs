//! What every engine must do: one suite, called once per engine.

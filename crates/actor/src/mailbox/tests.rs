use std::time::Duration;

use super::*;

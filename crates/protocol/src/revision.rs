//! The dated revisions of MCP and the two eras they fall into.

/// How a client talks: by session, or with everything in each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Era {
    /// Up to 2025-11-25: `initialize`, then a session.
    Legacy,
    /// From 2026-07-28 on: no session, each request says what it needs.
    Modern,
}

/// A dated revision of the specification, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revision {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl Revision {
    /// All there are, newest first.
    pub const ALL: &[Revision] = &[
        Self::V2026_07_28,
        Self::V2025_11_25,
        Self::V2025_06_18,
        Self::V2025_03_26,
        Self::V2024_11_05,
    ];
    /// What this node serves, newest first; the same list everywhere it is shown ([ERA-5]).
    pub const SERVED: &[Revision] = Self::ALL;
    /// The modern part of [`Self::SERVED`], for clients that must not try a legacy one ([ERA-2] 12).
    pub const SERVED_MODERN: &[Revision] = &[Self::V2026_07_28];
    /// What `initialize` answers when it cannot agree ([LIF-2]).
    pub const LATEST_LEGACY: Revision = Self::V2025_11_25;
    pub const LATEST_MODERN: Revision = Self::V2026_07_28;

    /// The revision of exactly this date.
    pub fn parse(date: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.as_str() == date)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
            Self::V2026_07_28 => Era::Modern,
        }
    }

    pub fn is_served(self) -> bool {
        Self::SERVED.contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_is_found_by_its_date_and_sorts_by_it() {
        for pair in Revision::ALL.windows(2) {
            assert!(pair[0] > pair[1] && pair[0].as_str() > pair[1].as_str());
        }
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(*revision));
        }
        assert_eq!(Revision::parse("2025-11-26"), None);
    }

    #[test]
    fn the_modern_list_is_the_modern_part_of_the_served_one() {
        let modern = Revision::SERVED.iter().filter(|r| r.era() == Era::Modern);
        assert!(modern.eq(Revision::SERVED_MODERN));
        assert!(Revision::LATEST_LEGACY.is_served() && Revision::LATEST_MODERN.is_served());
    }
}

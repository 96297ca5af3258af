//! Handwave: story.

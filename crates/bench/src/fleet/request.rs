//! Cuts the scrapes of targets into write requests of a bounded number of samples.

use wire::remote_write::WriteRequestEncoder;

use crate::fleet::target::Target;

/// Where in the targets the next request begins.
#[derive(Debug)]
pub struct Requests<'a> {
    targets: Vec<&'a Target>,
    target: usize,
    series: usize,
}

impl<'a> Requests<'a> {
    /// Starts at the first series of the first target.
    pub fn new(targets: impl IntoIterator<Item = &'a Target>) -> Requests<'a> {
        Requests { targets: targets.into_iter().collect(), target: 0, series: 0 }
    }

    /// Fills an empty `request` with whole series up to `samples_max` samples; says how many, or `None` at the end.
    pub fn fill(&mut self, samples_max: usize, request: &mut WriteRequestEncoder) -> Option<usize> {
        assert!(request.is_empty(), "a request is sent before the next is filled");
        let mut filled = 0;
        while let Some(target) = self.targets.get(self.target) {
            let each = target.scrape_count();
            assert!(each <= samples_max, "{each} samples of a series do not fit a request of {samples_max}");
            if each == 0 || self.series == target.series_count() {
                self.target += 1;
                self.series = 0;
                continue;
            }
            if filled + each > samples_max {
                break;
            }
            target.encode(self.series, request);
            self.series += 1;
            filled += each;
        }
        (filled > 0).then_some(filled)
    }
}

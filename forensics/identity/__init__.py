"""People that detectors were asked to know: enrolment, storage, deletion, and the gate."""

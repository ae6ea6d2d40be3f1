//! The report on a model folder says what was found.

use tts::models::doctor::examine;
use tts::models::pack::{PackFiles, Precisions};

use crate::support::{self, ON_CPU};

#[test]
fn a_report_answers_what_is_open() {
    if !support::has_runtime() {
        return;
    }
    for (files, expected) in [
        (
            PackFiles::demo(),
            &[
                "family                 demo",
                "hole mask              exact",
                "right-ragged, in place fails",
                "tokens embed together  yes",
                "sentences together     yes",
                "draws noise            no",
                "stopped by itself",
            ][..],
        ),
        (
            PackFiles::folder("turbo", support::fixtures().join("tts-contract/turbo")),
            &[
                "with language_model_q4f16.onnx_data",
                "GroupQueryAttention",
                "right-ragged, in place exact",
                "remembered as f16",
                "explicit positions     yes",
                "cfg_weight             no",
                "50256, 50256]",
                "default voice          none",
                "draws noise            yes",
            ],
        ),
    ] {
        let report = examine(&files, Precisions::default(), ON_CPU)
            .unwrap()
            .to_string();
        println!("{report}");
        for line in expected {
            assert!(report.contains(line), "`{line}` is not in\n{report}");
        }
    }
}

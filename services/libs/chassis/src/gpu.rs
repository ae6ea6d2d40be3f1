//! What the GPUs of this machine are doing, through NVIDIA's management library.
//!
//! Invariants:
//! - Without a driver there are no metrics, no error and no log line above `debug`: most machines have none.
//! - The driver is asked when somebody scrapes, and at most once a second however many do.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

/// A reading is good for so long.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The gauges of every GPU, or nothing. Clones are the same gauges.
#[derive(Clone)]
pub(crate) struct Gpus {
    driver: Option<Arc<Driver>>,
}

struct Driver {
    nvml: Nvml,
    gauges: Gauges,
    read_at: Mutex<Option<Instant>>,
}

struct Gauges {
    utilization: GaugeVec,
    memory_used: IntGaugeVec,
    memory_total: IntGaugeVec,
    temperature: IntGaugeVec,
    power: GaugeVec,
}

impl Gpus {
    pub(crate) fn register(registry: &Registry) -> Result<Gpus, prometheus::Error> {
        let nvml = match Nvml::init() {
            Ok(nvml) => nvml,
            Err(error) => {
                tracing::debug!(%error, "no GPU metrics");
                return Ok(Gpus { driver: None });
            }
        };
        let gauges = Gauges::register(registry)?;
        let driver = Driver {
            nvml,
            gauges,
            read_at: Mutex::new(None),
        };
        Ok(Gpus {
            driver: Some(Arc::new(driver)),
        })
    }

    /// Reads every GPU again, unless that was done a moment ago. Takes milliseconds: not for a thread that serves.
    pub(crate) fn refresh(&self, now: Instant) {
        let Some(driver) = &self.driver else {
            return;
        };
        let mut read_at = driver
            .read_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !is_stale(*read_at, now) {
            return;
        }
        *read_at = Some(now);
        if let Err(error) = driver.read() {
            tracing::debug!(%error, "the GPUs could not be read");
        }
    }
}

fn is_stale(read_at: Option<Instant>, now: Instant) -> bool {
    read_at.is_none_or(|then| MAX_AGE <= now.saturating_duration_since(then))
}

impl Driver {
    fn read(&self) -> Result<(), NvmlError> {
        for idx in 0..self.nvml.device_count()? {
            let device = self.nvml.device_by_index(idx)?;
            let label = idx.to_string();
            let gpu = [label.as_str()];
            let gauges = &self.gauges;
            // Each on its own: some cards and some virtual GPUs do not report all of them.
            if let Ok(use_of) = device.utilization_rates() {
                let ratio = f64::from(use_of.gpu) / 100.0;
                gauges.utilization.with_label_values(&gpu).set(ratio);
            }
            if let Ok(memory) = device.memory_info() {
                gauges
                    .memory_used
                    .with_label_values(&gpu)
                    .set(saturate(memory.used));
                gauges
                    .memory_total
                    .with_label_values(&gpu)
                    .set(saturate(memory.total));
            }
            if let Ok(celsius) = device.temperature(TemperatureSensor::Gpu) {
                gauges
                    .temperature
                    .with_label_values(&gpu)
                    .set(i64::from(celsius));
            }
            if let Ok(milliwatts) = device.power_usage() {
                let watts = f64::from(milliwatts) / 1000.0;
                gauges.power.with_label_values(&gpu).set(watts);
            }
        }
        Ok(())
    }
}

fn saturate(n_bytes: u64) -> i64 {
    i64::try_from(n_bytes).unwrap_or(i64::MAX)
}

impl Gauges {
    fn register(registry: &Registry) -> Result<Gauges, prometheus::Error> {
        let float = |name, help| -> Result<GaugeVec, prometheus::Error> {
            let gauge = GaugeVec::new(Opts::new(name, help), &["gpu"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let whole = |name, help| -> Result<IntGaugeVec, prometheus::Error> {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["gpu"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Gauges {
            utilization: float(
                "gpu_utilization_ratio",
                "Share of the last moment in which a kernel ran, 0 to 1.",
            )?,
            memory_used: whole("gpu_memory_used_bytes", "Memory in use, by all processes.")?,
            memory_total: whole("gpu_memory_total_bytes", "Memory of the card.")?,
            temperature: whole("gpu_temperature_celsius", "Temperature of the chip.")?,
            power: float("gpu_power_watts", "Power drawn by the card.")?,
        })
    }
}

impl fmt::Debug for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpus")
            .field("has_driver", &self.driver.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Whether this machine has a driver or not, both halves must hold: what is registered is what can be read.
    #[test]
    fn metrics_are_there_exactly_if_a_driver_is() {
        let registry = Registry::new();
        let gpus = Gpus::register(&registry).unwrap();
        gpus.refresh(Instant::now());
        let names: Vec<String> = registry
            .gather()
            .iter()
            .map(|it| it.name().to_owned())
            .collect();
        let has_memory = names.iter().any(|name| name == "gpu_memory_total_bytes");
        let n_gpus = gpus
            .driver
            .as_ref()
            .map_or(0, |it| it.nvml.device_count().unwrap());
        assert_eq!(has_memory, 0 < n_gpus, "{names:?}");
    }

    #[test]
    fn a_reading_is_good_for_a_second() {
        let then = Instant::now();
        assert!(is_stale(None, then));
        assert!(!is_stale(Some(then), then + Duration::from_millis(999)));
        assert!(is_stale(Some(then), then + MAX_AGE));
    }

    #[test]
    fn every_gauge_can_be_registered_and_set() {
        let registry = Registry::new();
        let gauges = Gauges::register(&registry).unwrap();
        gauges.utilization.with_label_values(&["0"]).set(0.5);
        gauges
            .memory_used
            .with_label_values(&["0"])
            .set(saturate(u64::MAX));
        gauges.memory_total.with_label_values(&["0"]).set(1);
        gauges.temperature.with_label_values(&["0"]).set(40);
        gauges.power.with_label_values(&["0"]).set(300.0);
        let names: Vec<String> = registry
            .gather()
            .iter()
            .map(|it| it.name().to_owned())
            .collect();
        let expected = [
            "gpu_memory_total_bytes",
            "gpu_memory_used_bytes",
            "gpu_power_watts",
            "gpu_temperature_celsius",
            "gpu_utilization_ratio",
        ];
        assert_eq!(names, expected);
    }
}

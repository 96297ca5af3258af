mod reassembly;
pub use reassembly::ReassemblyLimits;

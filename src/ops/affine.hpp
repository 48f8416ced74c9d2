// affine:  x f32 or u8 -> y f32 = x * scale + offset, elementwise (Keras's Rescaling)  (rows each)
//
// Its gradient is affine again, with the scale alone; none flows to u8.
#pragma once

namespace gpunn::ops {

struct AffineAttrs {
  float scale = 1;
  float offset = 0;
};

}  // namespace gpunn::ops

#include "src/cpu/simd/conv.hpp"

namespace gpunn::cpu::simd {

Conv2d backward_data(const Conv2d& c) {
  Conv2d back = c;
  back.height = c.out_h, back.width = c.out_w, back.channels = c.filters;
  back.filters = c.channels;
  back.pad_top = c.kernel_h - 1 - c.pad_top, back.pad_left = c.kernel_w - 1 - c.pad_left;
  back.out_h = c.height, back.out_w = c.width;
  back.x_row = c.y_row, back.x_image = c.y_image;
  back.y_row = c.x_row, back.y_image = c.x_image;
  return back;
}

}  // namespace gpunn::cpu::simd

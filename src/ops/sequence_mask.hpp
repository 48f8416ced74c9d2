// Which steps of a sequence are real and which are padding.
//
// sequence_mask:  x f32 or i32 [batch, steps, ...] -> mask u8 [batch, steps]  (rows each)
//                 1 where any number of the step differs from SequenceMaskAttrs::value; NaN differs
// apply_mask:     x f32 [batch, steps, ...], mask u8 [batch, steps] -> y: x where the mask is 1, else 0
//                 (rows each, accumulates); the gradient is the same op on dy
// merge_masks:    a u8 [batch, steps], b u8 [batch, others] -> mask u8  (rows each): 1 where either is, with
//                 steps alike; with MergeMasksAttrs::join the steps of a, then those of b
#pragma once

namespace gpunn::ops {

struct SequenceMaskAttrs {
  float value = 0;
};

struct MergeMasksAttrs {
  bool join = false;
};

}  // namespace gpunn::ops

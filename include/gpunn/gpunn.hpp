// All of libgpunn's public interface.
#pragma once

#include "gpunn/callbacks.hpp"
#include "gpunn/cpu.hpp"
#include "gpunn/data.hpp"
#include "gpunn/dtype.hpp"
#include "gpunn/error.hpp"
#include "gpunn/graph.hpp"
#include "gpunn/io.hpp"
#include "gpunn/layers.hpp"
#include "gpunn/log.hpp"
#include "gpunn/losses.hpp"
#include "gpunn/metrics.hpp"
#include "gpunn/model.hpp"
#include "gpunn/optimizers.hpp"
#include "gpunn/random.hpp"
#include "gpunn/shape.hpp"
#include "gpunn/tensor.hpp"

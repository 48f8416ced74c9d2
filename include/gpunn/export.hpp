// GPUNN_API marks what libgpunn exports; everything else is hidden.
#pragma once

#define GPUNN_API __attribute__((visibility("default")))

// A program outside the tree: only the installed headers and the exported symbols.
#include <cstdio>
#include <vector>

#include <gpunn/error.hpp>
#include <gpunn/shape.hpp>
#include <gpunn/tensor.hpp>

namespace {

bool expect(bool holds, const char* what) {
  if (!holds) std::fprintf(stderr, "failed: %s\n", what);
  return holds;
}

// An error thrown inside the library is caught by its own type here: the type_info is shared across the boundary.
bool shape_error_crosses_the_boundary() {
  try {
    gpunn::Tensor::of(gpunn::Shape{2, 3}, std::vector<float>{1, 2});
  } catch (const gpunn::ShapeError& error) {
    return expect(error.where().line == __LINE__ - 2, "the error names this program's line");
  } catch (...) {
  }
  return expect(false, "a ShapeError");
}

}  // namespace

int main() {
  const auto tensor = gpunn::Tensor::of(gpunn::Shape{2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  bool ok = expect(tensor.reshape({3, 2}).data<float>()[5] == 6.0f, "elements survive reshape");
  ok = expect(gpunn::to_string(tensor.shape()) == "[2, 3]", "shapes print") && ok;
  ok = shape_error_crosses_the_boundary() && ok;
  return ok ? 0 : 1;
}

// The loops behind Model::fit, evaluate and predict.
#pragma once

#include "src/train/model_state.hpp"

namespace gpunn::train {

History fit(Model& model, ModelState& state, const DatasetPtr& data, const FitOptions& options,
            SourceLocation where);
Logs evaluate(ModelState& state, const DatasetPtr& data, const EvaluateOptions& options,
              SourceLocation where);
std::vector<Tensor> predict(ModelState& state, const DatasetPtr& data, const PredictOptions& options,
                            SourceLocation where);
// One step on all samples of `data`.
Logs train_on_batch(ModelState& state, const DatasetPtr& data, SourceLocation where);

}  // namespace gpunn::train

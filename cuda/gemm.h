// The product of matrices, as plain CUDA: what convolution is made of, and what faster forms are tested
// against.
#pragma once

#include "core/stream.h"
#include "core/view.h"

namespace osprey::cuda {

// A matrix inside of a view: element (i, j) is at first + i row_step + j column_step. A transpose or a slice
// of columns is therefore another Matrix, not another copy.
template <class T>
struct Matrix {
  T* data = nullptr;
  int rows = 0, columns = 0;
  int row_step = 0, column_step = 1;

  Matrix(View<T> v, int first, int rows, int columns, int row_step)
      : data(v.data + first), rows(rows), columns(columns), row_step(row_step) {
    if (rows > 0 && columns > 0)
      v[first], v[first + (rows - 1) * row_step + columns - 1];  // checks both ends
  }
  Matrix transposed() const {
    Matrix m = *this;
    m.rows = columns, m.columns = rows;
    m.row_step = column_step, m.column_step = row_step;
    return m;
  }
  HOST_DEVICE T& operator()(int i, int j) const { return data[i * row_step + j * column_step]; }
  HOST_DEVICE bool contains(int i, int j) const { return i < rows && j < columns; }
};

// c = a b + bias, or c += a b + bias if `add`; bias, one value per column, may be empty.
void gemm(Stream&, Matrix<const float> a, Matrix<const float> b, Matrix<float> c, bool add,
          View<const float> bias = {});

}  // namespace osprey::cuda

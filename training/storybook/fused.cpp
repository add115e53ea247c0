// GroupNorm with SiLU, forward and backward, on channels-last bf16 or f32 tensors; sums and products in f32.
// A plain C interface, loaded with ctypes by fused.py: it builds in seconds and needs none of torch's headers.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int BLOCK = 16;  // channels at a time: one vector
constexpr int TILE = 128;  // pixels summed in f32 before the sum goes into a double

// gcc's and clang's vectors: compiled to whatever width the processor has.
typedef float Floats __attribute__((vector_size(4 * BLOCK)));
typedef int32_t Ints __attribute__((vector_size(4 * BLOCK)));
typedef uint32_t Words __attribute__((vector_size(4 * BLOCK)));
typedef uint16_t Shorts __attribute__((vector_size(2 * BLOCK)));

struct Half {  // bfloat16
  uint16_t bits;
};

inline Floats read(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline Floats read(const Half* from) {
  Shorts v;
  std::memcpy(&v, from, sizeof v);
  return (Floats)(__builtin_convertvector(v, Words) << 16);
}
inline void write(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }
inline void write(Half* to, Floats v) {  // to nearest, ties to even; no NaN is expected
  Words wide = (Words)v;
  Shorts out = __builtin_convertvector((wide + 0x7fff + ((wide >> 16) & 1)) >> 16, Shorts);
  std::memcpy(to, &out, sizeof out);
}

inline Floats exponential(Floats x) {  // 2^k times a polynomial, 1e-7 relative
  x = x < -87.0f ? (Floats{} - 87.0f) : x;
  x = x > 87.0f ? (Floats{} + 87.0f) : x;
  Floats scaled = x * 1.44269504f;
  Ints whole = __builtin_convertvector(scaled + (scaled < 0.0f ? (Floats{} - 0.5f) : (Floats{} + 0.5f)), Ints);
  Floats k = __builtin_convertvector(whole, Floats);
  Floats r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  Floats p = Floats{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (Floats)((whole + 127) << 23);
}

template <typename T>
void forward(const T* x, const float* weight, const float* bias, T* y, float* mean, float* rstd, int64_t pixels, int channels, int groups,
             float eps, bool silu) {
  std::vector<double> sum(channels, 0), square(channels, 0);
  for (int64_t p0 = 0; p0 < pixels; p0 += TILE) {
    int64_t p1 = p0 + TILE < pixels ? p0 + TILE : pixels;
    for (int c0 = 0; c0 < channels; c0 += BLOCK) {
      Floats a = {}, b = {};
      for (int64_t p = p0; p < p1; p++) {
        Floats v = read(x + p * channels + c0);
        a += v;
        b += v * v;
      }
      for (int c = 0; c < BLOCK; c++) {
        sum[c0 + c] += a[c];
        square[c0 + c] += b[c];
      }
    }
  }
  int width = channels / groups;
  std::vector<float> scale(channels), shift(channels);
  for (int g = 0; g < groups; g++) {
    double total = 0, squares = 0, count = double(pixels) * width;
    for (int c = g * width; c < (g + 1) * width; c++) {
      total += sum[c];
      squares += square[c];
    }
    double m = total / count, variance = squares / count - m * m;
    mean[g] = float(m);
    rstd[g] = float(1 / std::sqrt((variance > 0 ? variance : 0) + eps));
    for (int c = g * width; c < (g + 1) * width; c++) {
      scale[c] = rstd[g] * weight[c];
      shift[c] = bias[c] - mean[g] * scale[c];
    }
  }
  for (int64_t p = 0; p < pixels; p++) {
    const T* row = x + p * channels;
    T* out = y + p * channels;
    for (int c = 0; c < channels; c += BLOCK) {
      Floats z = read(row + c) * read(&scale[c]) + read(&shift[c]);
      write(out + c, silu ? z / (1.0f + exponential(-z)) : z);
    }
  }
}

template <typename T>
void backward(const T* gradient, const T* x, const float* weight, const float* bias, const float* mean, const float* rstd, T* dx, double* dweight,
              double* dbias, int64_t pixels, int channels, int groups, bool silu) {
  int width = channels / groups;
  std::vector<float> scale(channels), shift(channels);
  for (int c = 0; c < channels; c++) {
    scale[c] = rstd[c / width] * weight[c];
    shift[c] = bias[c] - mean[c / width] * scale[c];
  }
  std::vector<double> sum(channels, 0), product(channels, 0);  // of dz and of dz x
  for (int64_t p0 = 0; p0 < pixels; p0 += TILE) {
    int64_t p1 = p0 + TILE < pixels ? p0 + TILE : pixels;
    for (int c0 = 0; c0 < channels; c0 += BLOCK) {
      Floats a = {}, b = {}, by = read(&scale[c0]), plus = read(&shift[c0]);
      for (int64_t p = p0; p < p1; p++) {
        Floats v = read(x + p * channels + c0), dz = read(gradient + p * channels + c0);
        if (silu) {
          Floats z = v * by + plus;
          Floats s = 1.0f / (1.0f + exponential(-z));
          dz *= s * (1.0f + z * (1.0f - s));
        }
        write(dx + p * channels + c0, dz);  // for the second pass
        a += dz;
        b += dz * v;
      }
      for (int c = 0; c < BLOCK; c++) {
        sum[c0 + c] += a[c];
        product[c0 + c] += b[c];
      }
    }
  }
  std::vector<float> factor(channels), centre(channels), slope(channels);
  double count = double(pixels) * width;
  for (int g = 0; g < groups; g++) {
    double plain = 0, with = 0;
    for (int c = g * width; c < (g + 1) * width; c++) {
      double normal = (product[c] - mean[g] * sum[c]) * rstd[g];  // sum of dz x^
      dweight[c] += normal;
      dbias[c] += sum[c];
      plain += sum[c] * weight[c];
      with += normal * weight[c];
    }
    // dx = rstd (dz w - plain/n - x^ with/n), x^ = (x - mean) rstd
    for (int c = g * width; c < (g + 1) * width; c++) {
      factor[c] = scale[c];
      slope[c] = float(-rstd[g] * rstd[g] * with / count);
      centre[c] = float(-rstd[g] * plain / count - mean[g] * slope[c]);
    }
  }
  for (int64_t p = 0; p < pixels; p++) {
    const T* row = x + p * channels;
    T* to = dx + p * channels;
    for (int c = 0; c < channels; c += BLOCK) write(to + c, read(to + c) * read(&factor[c]) + read(row + c) * read(&slope[c]) + read(&centre[c]));
  }
}

}  // namespace

#define EXPORT(NAME, TYPE)                                                                                                                        \
  extern "C" void forward_##NAME(const TYPE* x, const float* weight, const float* bias, TYPE* y, float* mean, float* rstd, int64_t first,          \
                                 int64_t last, int64_t pixels, int channels, int groups, float eps, int silu) {                                   \
    for (int64_t i = first; i < last; i++)                                                                                                        \
      forward(x + i * pixels * channels, weight, bias, y + i * pixels * channels, mean + i * groups, rstd + i * groups, pixels, channels, groups, \
              eps, silu != 0);                                                                                                                    \
  }                                                                                                                                               \
  extern "C" void backward_##NAME(const TYPE* gradient, const TYPE* x, const float* weight, const float* bias, const float* mean,                  \
                                  const float* rstd, TYPE* dx, double* dweight, double* dbias, int64_t first, int64_t last, int64_t pixels,       \
                                  int channels, int groups, int silu) {                                                                          \
    for (int64_t i = first; i < last; i++)                                                                                                        \
      backward(gradient + i * pixels * channels, x + i * pixels * channels, weight, bias, mean + i * groups, rstd + i * groups,                   \
               dx + i * pixels * channels, dweight, dbias, pixels, channels, groups, silu != 0);                                                  \
  }

EXPORT(f32, float)
EXPORT(bf16, Half)

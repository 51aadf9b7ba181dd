// Writing videos: RGB to YUV, through the encoder, into the file.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

#include "core/error.h"
#include "data/ffmpeg.h"
#include "data/ffmpeg_calls.h"
#include "data/video.h"

namespace osprey {
namespace {

using ffmpeg::calls;
using ffmpeg::Handle;
using ffmpeg::held;
using ffmpeg::reason;

constexpr int kTicks = 60000;  // to a second; MPEG-4 can have no more than 65535

Handle<AVFrame> frame_of(int width, int height, AVPixelFormat format) {
  Handle<AVFrame> frame = held(calls().av_frame_alloc());
  frame->width = width;
  frame->height = height;
  frame->format = format;
  if (calls().av_frame_get_buffer(frame.get(), 0) < 0) throw std::bad_alloc();
  return frame;
}

// Rounded to bytes, grey to three equal values; the last column and row are repeated in what is left.
void copy_rgb(const Image& image, AVFrame& to) {
  const auto byte = [](float v) { return uint8_t(std::clamp(v, 0.f, 1.f) * 255.f + .5f); };
  for (int y = 0; y < to.height; ++y) {
    uint8_t* row = to.data[0] + ptrdiff_t(y) * to.linesize[0];
    for (int x = 0; x < to.width; ++x) {
      const float* pixel =
          &image.pixels[image.index(std::min(y, image.height - 1), std::min(x, image.width - 1), 0)];
      for (int c = 0; c < 3; ++c) row[3 * x + c] = byte(pixel[image.channels == 3 ? c : 0]);
    }
  }
}

// Closes what was not finished, and removes it. (What was finished has another name by then.)
struct DropOutput {
  std::string temporary;
  void operator()(AVFormatContext* output) const {
    calls().avio_closep(&output->pb);
    calls().avformat_free_context(output);
    std::remove(temporary.c_str());
  }
};

class Writer final : public VideoWriter {
 public:
  Writer(const std::string& path, int width, int height, double fps)
      : path_(path), width_(width), height_(height), packet_(held(calls().av_packet_alloc())) {
    if (!is_writable_video(path)) fail("{}: videos are written as .mp4, .m4v, .mov, .mkv or .avi", path);
    if (width < 1 || height < 1) fail("{}: a video of {}x{} cannot be written", path, width, height);
    ffmpeg::keep_quiet();
    rate_ = calls().av_d2q(fps > 0 ? fps : 25, kTicks);
    AVFormatContext* output = nullptr;
    check(calls().avformat_alloc_output_context2(
        &output, calls().av_guess_format(nullptr, path.c_str(), nullptr), nullptr, nullptr));
    output_ = {output, DropOutput{path + ".part"}};
    open_encoder();
    open_file();
    const int even_width = encoder_->width, even_height = encoder_->height;
    rgb_ = frame_of(even_width, even_height, AV_PIX_FMT_RGB24);
    yuv_ = frame_of(even_width, even_height, AV_PIX_FMT_YUV420P);
    convert_ = held(calls().sws_getContext(even_width, even_height, AV_PIX_FMT_RGB24, even_width, even_height,
                                           AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND, nullptr,
                                           nullptr, nullptr));
  }

  void write(const Image& image, double seconds) override {
    if (image.width != width_ || image.height != height_ || (image.channels != 3 && image.channels != 1))
      fail("{}: an image of {}x{}x{} in a video of {}x{}", path_, image.width, image.height, image.channels,
           width_, height_);
    copy_rgb(image, *rgb_);
    check(calls().av_frame_make_writable(yuv_.get()));  // the encoder may still hold the last one
    calls().sws_scale(convert_.get(), rgb_->data, rgb_->linesize, 0, rgb_->height, yuv_->data,
                      yuv_->linesize);
    last_ = std::max(std::llround(seconds / av_q2d(encoder_->time_base)), last_ + 1LL);
    yuv_->pts = last_;
    encode(yuv_.get());
  }

  void finish() override {
    encode(nullptr);
    check(calls().av_write_trailer(output_.get()));
    check(calls().avio_closep(&output_->pb));
    if (std::rename(temporary().c_str(), path_.c_str()) != 0)
      fail("{}: cannot be written: {}", path_, std::strerror(errno));
  }

 private:
  const std::string& temporary() const { return output_.get_deleter().temporary; }

  void check(int error) const {
    if (error < 0) fail("{}: cannot be written: {}", path_, reason(error));
  }

  void open_encoder() {
    const AVCodec* codec = calls().avcodec_find_encoder_by_name("libx264");
    if (!codec) codec = calls().avcodec_find_encoder(AV_CODEC_ID_MPEG4);
    if (!codec) fail("{}: this FFmpeg can encode neither H.264 nor MPEG-4", path_);
    encoder_ = held(calls().avcodec_alloc_context3(codec));
    // AVI has no times: its frames are as many to a second as its header says.
    const bool is_avi = !std::strcmp(output_->oformat->name, "avi");
    encoder_->width = (width_ + 1) / 2 * 2;
    encoder_->height = (height_ + 1) / 2 * 2;
    encoder_->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder_->time_base = is_avi ? av_inv_q(rate_) : AVRational{1, kTicks};
    encoder_->framerate = rate_;
    encoder_->gop_size = std::max(1, int(std::lround(2 * av_q2d(rate_))));
    encoder_->colorspace = AVCOL_SPC_SMPTE170M;  // what swscale makes
    encoder_->color_range = AVCOL_RANGE_MPEG;
    if (is_avi) encoder_->max_b_frames = 0;
    if (output_->oformat->flags & AVFMT_GLOBALHEADER) encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (codec->id == AV_CODEC_ID_H264) {
      calls().av_opt_set(encoder_->priv_data, "preset", "veryfast", 0);
      calls().av_opt_set(encoder_->priv_data, "crf", "20", 0);
    } else {
      encoder_->flags |= AV_CODEC_FLAG_QSCALE;
      encoder_->global_quality = 3 * FF_QP2LAMBDA;
    }
    check(calls().avcodec_open2(encoder_.get(), codec, nullptr));
  }

  void open_file() {
    stream_ = calls().avformat_new_stream(output_.get(), nullptr);
    if (!stream_) throw std::bad_alloc();
    check(calls().avcodec_parameters_from_context(stream_->codecpar, encoder_.get()));
    stream_->time_base = encoder_->time_base;
    stream_->avg_frame_rate = rate_;
    check(calls().avio_open(&output_->pb, temporary().c_str(), AVIO_FLAG_WRITE));
    check(calls().avformat_write_header(output_.get(), nullptr));
  }

  // null: no more come.
  void encode(const AVFrame* frame) {
    check(calls().avcodec_send_frame(encoder_.get(), frame));
    while (true) {
      const int got = calls().avcodec_receive_packet(encoder_.get(), packet_.get());
      if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return;
      check(got);
      packet_->stream_index = stream_->index;
      packet_->duration = calls().av_rescale_q(1, av_inv_q(rate_), encoder_->time_base);
      calls().av_packet_rescale_ts(packet_.get(), encoder_->time_base, stream_->time_base);
      check(calls().av_interleaved_write_frame(output_.get(), packet_.get()));
    }
  }

  std::string path_;
  int width_, height_;
  AVRational rate_{25, 1};
  std::unique_ptr<AVFormatContext, DropOutput> output_;
  AVStream* stream_ = nullptr;  // of output_
  Handle<AVCodecContext> encoder_;
  Handle<AVPacket> packet_;
  Handle<AVFrame> rgb_, yuv_;
  Handle<SwsContext> convert_;
  long long last_ = -1;  // time of the last image, in units of the encoder
};

}  // namespace

std::unique_ptr<VideoWriter> create_video(const std::string& path, int width, int height, double fps) {
  ffmpeg::load(path);
  return std::make_unique<Writer>(path, width, height, fps);
}

}  // namespace osprey

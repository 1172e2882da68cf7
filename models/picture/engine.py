"""A small ctypes door to libstable-diffusion (C interface of stable-diffusion.cpp).

    SD_LIBRARY=path/to/libstable-diffusion.so python3 engine.py model.gguf out.png "a red circle" [seed]
"""

import ctypes as C
import os
import sys
import time

import numpy as np

i32, u32, i64, f32, p, boolean = C.c_int, C.c_uint32, C.c_int64, C.c_float, C.c_void_p, C.c_bool
s = C.c_char_p


def struct(name, fields):
    return type(name, (C.Structure,), {"_fields_": fields})


Context = struct("Context", [(n, s) for n in (
    "model_path", "clip_l_path", "clip_g_path", "clip_vision_path", "t5xxl_path", "llm_path", "llm_vision_path",
    "diffusion_model_path", "high_noise_diffusion_model_path", "uncond_diffusion_model_path",
    "embeddings_connectors_path", "vae_path", "audio_vae_path", "taesd_path", "control_net_path")] + [
    ("embeddings", p), ("embedding_count", u32), ("photo_maker_path", s), ("tensor_type_rules", s), ("n_threads", i32),
    ("wtype", i32), ("rng_type", i32), ("sampler_rng_type", i32), ("prediction", i32), ("lora_apply_mode", i32)] +
    [(n, boolean) for n in (
        "enable_mmap", "flash_attn", "diffusion_flash_attn", "tae_preview_only", "diffusion_conv_direct", "vae_conv_direct",
        "circular_x", "circular_y", "force_sdxl_vae_conv_scale", "chroma_use_dit_mask", "chroma_use_t5_mask")] +
    [("chroma_t5_mask_pad", i32), ("qwen_image_zero_cond_t", boolean), ("vae_format", i32), ("max_vram", f32),
     ("stream_layers", boolean), ("backend", s), ("params_backend", s)])
Image = struct("Image", [("width", u32), ("height", u32), ("channel", u32), ("data", C.POINTER(C.c_uint8))])
Skip = struct("Skip", [("layers", p), ("layer_count", C.c_size_t), ("start", f32), ("end", f32), ("scale", f32)])
Guidance = struct("Guidance", [("txt_cfg", f32), ("img_cfg", f32), ("distilled", f32), ("slg", Skip)])
Sample = struct("Sample", [("guidance", Guidance), ("scheduler", i32), ("sample_method", i32), ("sample_steps", i32),
                           ("eta", f32), ("shifted_timestep", i32), ("custom_sigmas", p), ("custom_sigmas_count", i32),
                           ("flow_shift", f32), ("extra_sample_args", s)])
Photo = struct("Photo", [("images", p), ("count", i32), ("path", s), ("strength", f32)])
Tiling = struct("Tiling", [("enabled", boolean), ("temporal", boolean), ("x", i32), ("y", i32), ("overlap", f32),
                           ("rel_x", f32), ("rel_y", f32), ("extra", s)])
Cache = struct("Cache", [("mode", i32), ("reuse_threshold", f32), ("start_percent", f32), ("end_percent", f32),
                         ("error_decay_rate", f32), ("relative", boolean), ("reset", boolean), ("fn", i32), ("bn", i32),
                         ("residual", f32), ("warmup", i32), ("max_cached", i32), ("max_continuous", i32), ("taylor_n", i32),
                         ("taylor_skip", i32), ("scm_mask", s), ("scm_dynamic", boolean), ("w", f32), ("m", i32),
                         ("lam", f32), ("window", i32), ("flex", f32), ("spec_warmup", i32), ("stop", f32)])
Hires = struct("Hires", [("enabled", boolean), ("upscaler", i32), ("model_path", s), ("scale", f32), ("width", i32),
                         ("height", i32), ("steps", i32), ("strength", f32), ("tile", i32), ("sigmas", p), ("n", i32)])
Job = struct("Job", [("loras", p), ("lora_count", u32), ("prompt", s), ("negative_prompt", s), ("clip_skip", i32),
                     ("init_image", Image), ("ref_images", C.POINTER(Image)), ("ref_images_count", i32),
                     ("auto_resize_ref_image", boolean), ("increase_ref_index", boolean), ("mask_image", Image),
                     ("width", i32), ("height", i32), ("sample", Sample), ("strength", f32), ("seed", i64),
                     ("batch_count", i32), ("control_image", Image), ("control_strength", f32), ("photo", Photo),
                     ("tiling", Tiling), ("cache", Cache), ("hires", Hires)])
LOG = C.CFUNCTYPE(None, i32, s, p)
STEP = C.CFUNCTYPE(None, i32, i32, f32, p)
CPU_RNG = 2
EULER, EULER_A, LCM = 0, 1, 9
THREADS = int(os.environ.get("SD_THREADS", "2"))


class Engine:
    def __init__(self, path, threads=THREADS, log=None, rng=None, flash=False):
        lib = self.lib = C.CDLL(os.environ["SD_LIBRARY"])
        lib.new_sd_ctx.restype, lib.new_sd_ctx.argtypes = p, [C.POINTER(Context)]
        lib.generate_image.restype, lib.generate_image.argtypes = C.POINTER(Image), [p, C.POINTER(Job)]
        lib.free_sd_ctx.argtypes = [p]
        lib.free_sd_images.argtypes = [C.POINTER(Image), i32]
        lib.sd_set_log_callback.argtypes = [LOG, p]
        self.lines = []
        self.keep = LOG(lambda level, line, _: (self.lines.append(line.decode(errors="replace")),
                                                log and level >= log and sys.stderr.write(self.lines[-1])))
        lib.sd_set_log_callback(self.keep, None)
        lib.sd_set_progress_callback.argtypes = [STEP, p]
        self.quiet = STEP(lambda *_: None)
        lib.sd_set_progress_callback(self.quiet, None)
        c = Context()
        lib.sd_ctx_params_init(C.byref(c))
        c.model_path = c.taesd_path = path.encode()     # one file holds everything
        c.n_threads = threads
        c.diffusion_flash_attn = flash
        if rng is not None:
            c.rng_type = rng
        began = time.time()
        self.ctx = lib.new_sd_ctx(C.byref(c))
        if not self.ctx:
            raise RuntimeError("".join(self.lines))
        self.load_seconds = time.time() - began

    def draw(self, prompt, seed=1, steps=12, cfg=2.5, width=128, height=128, negative="", start=None, strength=0.7,
             method=LCM, scheduler=None, shift=None):
        j = Job()
        self.lib.sd_img_gen_params_init(C.byref(j))
        j.prompt, j.negative_prompt = prompt.encode(), negative.encode()
        j.width, j.height, j.seed = width, height, seed
        j.sample.sample_steps, j.sample.guidance.txt_cfg = steps, cfg
        if method is not None:
            j.sample.sample_method = method
        if scheduler is not None:
            j.sample.scheduler = scheduler
        if shift is not None:
            j.sample.flow_shift = shift
        if start is not None:
            data = np.ascontiguousarray(start, np.uint8)
            j.init_image = Image(data.shape[1], data.shape[0], 3, data.ctypes.data_as(C.POINTER(C.c_uint8)))
            j.strength = strength
        began = time.time()
        out = self.lib.generate_image(self.ctx, C.byref(j))
        self.seconds = time.time() - began
        if not out:
            raise RuntimeError("".join(self.lines[-20:]))
        img = np.ctypeslib.as_array(out[0].data, (out[0].height, out[0].width, 3)).copy()
        self.lib.free_sd_images(out, 1)
        return img

    def close(self):
        self.lib.free_sd_ctx(self.ctx)


if __name__ == "__main__":
    from PIL import Image as Pillow
    e = Engine(sys.argv[1], log=2)
    img = e.draw(sys.argv[3], seed=int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    Pillow.fromarray(img).save(sys.argv[2])
    print(f"load {e.load_seconds:.2f} s, draw {e.seconds:.2f} s")

"""Images, labels and notes that clients send: in place of MONAI Label's own routes, which take anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, Response
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import get_mime_type

from gateway.guard import caller_of
from gateway.replies import PassingFile
from gateway.strict_json import parse_object
from gateway.uploads import base_name, ending_of, put_down, require_image
from landmarklabel.errors import ConfigError, NotFoundError
from landmarklabel.files import sha256
from landmarklabel.io.layouts.common import image_id

_FINAL = "final"

Text = Annotated[str, Form()]
Upload = Annotated[UploadFile, File()]


def storing_routes() -> APIRouter:
    """The routes. All wait for the disk, in threads of their own."""
    router = APIRouter(prefix="/datastore", tags=["Datastore"])

    @router.put("/", include_in_schema=False)
    @router.put("/image", summary="Upload an image")
    def put_image(request: Request, file: Upload, image: str | None = None, params: Text = "{}") -> dict[str, str]:
        name = image or image_id(base_name(file.filename))
        info = _info(request, params, "params")
        with put_down(file.file, ending_of(file.filename)) as path:
            require_image(path, f"image {name}")
            return {"image": app_instance().datastore().add_image(name, str(path), info)}

    @router.get("/image", summary="Download an image")
    def get_image(image: str) -> FileResponse:
        path = _image(image)
        return FileResponse(path, media_type=get_mime_type(str(path)), filename=path.name)

    @router.head("/image", summary="Whether an image is there, and is the one of a checksum")
    def check_image(image: str, check_sum: str = "") -> Response:
        path = _image(image)
        algorithm, _, digest = check_sum.rpartition(":")
        if algorithm.upper() not in ("", "SHA256"):
            raise ConfigError(f"check_sum: expected SHA256:DIGEST, got {check_sum[:80]}")
        if digest and digest.lower() != sha256(path):
            raise NotFoundError(f"the image '{image}' is another one")
        return Response()

    @router.delete("/", include_in_schema=False)
    @router.delete("/image", summary="Delete an image and its labels, such that they can come back")
    def delete_image(request: Request, id: str) -> dict[str, Any]:
        app_instance().datastore().remove_image(id, caller_of(request).name)
        return {}

    @router.get("/dataset", summary="Download all images with final labels, as a ZIP archive")
    def get_dataset(limit_cases: int | None = None) -> FileResponse:
        store = app_instance().datastore()
        if not store.datalist():
            raise NotFoundError("there is no image with a final label yet")
        archive = store.get_dataset_archive(limit_cases)  # a temporary file, which MONAI Label never deletes
        return PassingFile(archive, media_type="application/zip", filename="dataset.zip")

    @router.put("/image/info", summary="Add to what is known of an image")
    def put_image_info(request: Request, image: str, info: Text = "{}") -> None:
        app_instance().datastore().update_image_info(image, _info(request, info, "info"))

    @router.put("/label", summary="Save a label")
    def put_label(
        request: Request,
        image: str,
        label: Upload,
        params: Text = "{}",
        tag: str = _FINAL,
    ) -> dict[str, Any]:
        info = _info(request, params, "params")
        app = app_instance()
        with put_down(label.file, ending_of(label.filename)) as path:
            saved = app.datastore().save_label(image, str(path), tag or _FINAL, info)
        return {**(app.on_save_label(image, saved) or {}), "image": image, "label": saved}

    @router.delete("/label", summary="Delete a label; its history stays")
    def delete_label(request: Request, id: str, tag: str) -> dict[str, Any]:
        app_instance().datastore().remove_label(id, tag, caller_of(request).name)
        return {}

    @router.put("/label/info", summary="Add to what is known of a label")
    def put_label_info(request: Request, label: str, tag: str, info: Text = "{}") -> None:
        app_instance().datastore().update_label_info(label, tag, _info(request, info, "info"))

    @router.put("/updatelabelinfo", include_in_schema=False)
    def put_label_params(request: Request, label: str, tag: str, params: Text = "{}") -> None:
        app_instance().datastore().update_label_info(label, tag, _info(request, params, "params"))

    return router


def _image(name: str) -> Path:
    """The file of an image of the store. What lies among the images and is none, as a link may, is not given away.

    Raises:
        NotFoundError: there is no such image.
        FormatError: its file is no image.
    """
    path = Path(app_instance().datastore().get_image_uri(name) or "/")
    if not path.is_file():
        raise NotFoundError(f"there is no image '{name}' in these studies")
    require_image(path, f"image {name}")
    return path


def _info(request: Request, text: str, where: str) -> dict[str, Any]:
    """What a client wants noted; who it is, its token says better than it does itself."""
    info, caller = parse_object(text, where), caller_of(request)
    return {**info, "user": caller.name} if caller.name else info

import zipfile
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile


class ImportForm(forms.Form):
    archive = forms.FileField(
        label="Zip with manifest.csv and pictures",
        help_text="manifest.csv names the pictures by their paths in the zip: columns anonymized, original, group, "
        "source, method, scope, parameters.",
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
    )

    def clean_archive(self) -> Any:
        archive: UploadedFile[Any] = self.cleaned_data["archive"]
        if (archive.size or 0) > settings.UPLOAD_MAX_BYTES:
            most = settings.UPLOAD_MAX_BYTES / 1e9
            raise forms.ValidationError(
                f"The file is larger than {most:.1f} GB. Import it on the server with manage.py import_pairs."
            )
        if not zipfile.is_zipfile(archive):
            raise forms.ValidationError("This is not a zip file. Put manifest.csv and the pictures into one zip.")
        archive.seek(0)
        return archive

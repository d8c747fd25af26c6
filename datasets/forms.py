import zipfile
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from datasets.models.pictures import Source
from datasets.models.projects import Project, Role
from datasets.refusals import Refusal


def whole_characters(text: str) -> None:
    """A validator: no halves of characters, which no database stores. A browser sends none, JSON and a shell may."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise forms.ValidationError("Halves of characters cannot be stored; save the text as UTF-8.") from error


class ImportForm(forms.Form):
    archive = forms.FileField(
        label="Zip with manifest.csv and pictures",
        help_text="manifest.csv names the pictures by their paths in the zip: columns anonymized, original, group, "
        "source, method, scope, parameters.",
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
    )

    leave_columns = forms.BooleanField(
        label="Leave columns unread that the studio does not know",
        help_text="Without this, a column stops the import if its name is nearly that of a known one, or if its name "
        "or its numbers (from 1 to 10 in most rows) look like ratings.",
        required=False,
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


class PairForm(forms.Form):
    """What a manifest says of a pair, in its words; `datasets/pair_changes.py` reads and checks it."""

    group = forms.CharField(required=False, help_text="The same for all versions of one picture. Empty: the original.")
    source = forms.CharField(required=False)
    method = forms.CharField(required=False)
    scope = forms.CharField(required=False)
    parameters = forms.CharField(required=False, help_text='A JSON object, such as {"strength": 0.1}.')


class RetractForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Stands on the release's page, for whoever used it.",
    )
    name = forms.CharField(label="Type the release's name to go on")

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = name
        self.fields["name"].help_text = name

    def clean_reason(self) -> str:
        reason = str(self.cleaned_data["reason"])
        whole_characters(reason)
        return reason

    def clean_name(self) -> str:
        if self.cleaned_data["name"].strip() != self.expected:
            raise forms.ValidationError(f"Type {self.expected} as it stands there.")
        return self.expected


class SourceForm(forms.ModelForm[Source]):
    """What allows us to show a source's pictures, and how to cite them."""

    class Meta:
        model = Source
        fields = ["licence", "citation", "legal_basis"]
        widgets = {name: forms.Textarea(attrs={"rows": 4}) for name in ("citation", "legal_basis")}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for text in filter(None, map(data.get, self.Meta.fields)):
            whole_characters(text)
        return data


class TypedName(forms.Form):
    """What cannot be taken back is confirmed by typing the name of what it happens to."""

    typed = forms.CharField(
        max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}), label="Its name"
    )

    def __init__(self, name: str, data: QueryDict | None = None) -> None:
        super().__init__(data, label_suffix="")
        self.name = name
        self.fields["typed"].label = f"Type {name} to confirm"

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed != self.name:
            raise forms.ValidationError(f"Nothing was done: this is not {self.name}. Type it as it stands here.")
        return typed


class NotUnderstood(Refusal):
    """A form holds what makes no sense."""


def understood(form: forms.BaseForm, hint: str = "") -> dict[str, Any]:
    """What a form says; refused with all that is wrong, behind a hint what to do."""
    if not form.is_valid():
        raise NotUnderstood(f"{hint} {errors_in_words(form)}".strip())
    return form.cleaned_data


def errors_in_words(form: forms.BaseForm) -> str:
    """All that is wrong with a form in one line."""
    whole = [str(message) for message in form.non_field_errors()]
    fields = [
        f"{name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items() if name != NON_FIELD_ERRORS
    ]
    return " ".join(whole + fields)


class MemberInvitationForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    email = forms.EmailField(
        label="E-mail address, to send the link to", required=False, help_text="Empty: you send it yourself."
    )

    def __init__(self, data: QueryDict | None = None, *, may_mail: bool) -> None:
        super().__init__(data, label_suffix="")
        if not may_mail:
            del self.fields["email"]


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class ProjectForm(forms.ModelForm[Project]):
    """What the project's admins may change; its slug, which is in addresses, is for superusers."""

    class Meta:
        model = Project
        fields = ["name"]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        whole_characters(name)
        return name


class NewAccountForm(UserCreationForm[User]):
    class Meta:
        model = User
        fields = ["username", "email"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True
